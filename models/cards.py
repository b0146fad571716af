"""Model cards (Mitchell et al., arXiv:1810.03993) in Hugging Face's form: YAML front matter, then Markdown.

A card is rendered from a version's record, and from the findings of an audit if there are any. It claims
nothing that neither of them holds: what is not known is said to be not recorded. Names of data sets,
classes and columns come from outside and are escaped, in YAML by its own writer.

The form: https://github.com/huggingface/hub-docs/blob/main/modelcard.md. No torch here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from raiaudit.models import card_sections
from raiaudit.models.card_sections import modality_of
from raiaudit.models.markdown import escape, flat

if TYPE_CHECKING:
    from raiaudit.models.version import TrainingRecord

__all__ = ["AuditFindings", "Finding", "card_body", "front_matter", "model_card"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One number of an audit: `metric` as the results call it, `title` and `text` (value with interval) for
    people, `verdict` of the gate on it if there is one.
    """

    metric: str
    title: str
    text: str
    value: float
    low: float | None
    high: float | None
    confidence: float
    n: int
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class AuditFindings:
    """The headline numbers of one run on `examples` test examples, and the checks that ran."""

    run: str
    verdict: str
    data_name: str
    data_digest: str
    examples: int
    partial: bool
    findings: tuple[Finding, ...]
    checks: frozenset[str] = field(default_factory=frozenset)


def model_card(
    name: str, record: TrainingRecord, *, version: int | None = None, audit: AuditFindings | None = None
) -> str:
    """The whole README.md. `version` is None while the registry has not given one."""
    facts = yaml.safe_dump(
        front_matter(name, record, audit=audit), sort_keys=False, allow_unicode=True, width=10_000
    )
    return f"---\n{facts}---\n\n{card_body(name, record, version=version, audit=audit)}"


def front_matter(name: str, record: TrainingRecord, *, audit: AuditFindings | None = None) -> dict[str, Any]:
    """What the Hub reads, as plain data. No `license`: a record does not say under which the weights are."""
    modality = modality_of(record)
    task = f"{modality}-classification" if modality else "classification"
    facts: dict[str, Any] = {"library_name": "raiaudit"}
    if modality:
        facts["pipeline_tag"] = task
    facts["tags"] = ["raiaudit", flat(record.architecture), *_traits(record)]
    if record.data_name:
        facts["datasets"] = [flat(record.data_name)]
    results = []
    if (validated := record.metrics.get("validation_accuracy")) is not None:
        metric = {"type": "accuracy", "name": "Validation accuracy", "value": validated}
        results.append(_result(task, record.data_name, record.data_digest, "validation", [metric]))
    if audit is not None and audit.findings:
        metrics = [_metric(finding) for finding in audit.findings]
        results.append(_result(task, audit.data_name, audit.data_digest, "test", metrics))
    if results:
        facts["metrics"] = sorted({metric["type"] for result in results for metric in result["metrics"]})
        facts["model-index"] = [{"name": flat(name), "results": results}]
    return facts


def card_body(
    name: str, record: TrainingRecord, *, version: int | None = None, audit: AuditFindings | None = None
) -> str:
    """The card without its front matter."""
    title = escape(name) + (f", version {version}" if version else "")
    sections = {
        "Model details": card_sections.details(record),
        "Intended use": card_sections.use(record),
        "Training data": card_sections.data(record),
        "Training procedure": card_sections.procedure(record),
        "Evaluation": card_sections.evaluation(record, audit),
        "Privacy": card_sections.privacy(record),
        "Fairness mitigation": card_sections.fairness(record.recipe),
        "Robustness training": card_sections.robustness(record),
        "Limits": card_sections.limits(record, audit),
        "How to load": card_sections.loading(name, record, version),
    }
    blocks = [f"# {title}", *(f"## {head}\n\n" + "\n".join(lines) for head, lines in sections.items())]
    return "\n\n".join(blocks) + "\n"


# Front matter


def _traits(record: TrainingRecord) -> list[str]:
    recipe = record.recipe
    if recipe is None:
        return []
    traits = {
        "adversarial-training": recipe.adversary,
        "differential-privacy": record.privacy,
        "fairness": recipe.fairness,
    }
    return [trait for trait, there in traits.items() if there is not None]


def _result(
    task: str, data: str | None, digest: str | None, split: str, metrics: list[dict[str, Any]]
) -> dict[str, Any]:
    named = flat(data or "unknown")
    dataset = {"name": named, "type": named, "split": split}
    if digest:
        dataset["revision"] = flat(digest)
    return {"task": {"type": task}, "dataset": dataset, "metrics": metrics}


def _metric(finding: Finding) -> dict[str, Any]:
    details: dict[str, Any] = {"n": finding.n}
    if finding.low is not None and finding.high is not None:
        details |= {"low": finding.low, "high": finding.high, "confidence": finding.confidence}
    if finding.verdict:
        details["verdict"] = finding.verdict
    return {
        "type": flat(finding.metric),
        "name": flat(finding.title),
        "value": finding.value,
        "args": details,
    }
