"""Does the evaluation of robustness deserve trust? Diagnostics of the model, its gradients and the attacks.

A robust accuracy is an upper bound, and a model that hides its gradient makes it a worthless one
(arXiv:1802.00420, arXiv:1902.06705). On a sample of the test examples this check asks the model the same
question twice, looks at its near surroundings, and lets many variants of an attack compete at one radius;
`reliability_flags` says what a sound evaluation never shows. While a flag is raised, no gate on a robust
accuracy passes: it is inconclusive, with the flag's reason and what the remedies showed.

On the defaults, a robust model costs about 900 forwards and 300 backwards for each example of the sample, and
the training of a small substitute network; on an undefended one most attacks end early.

Ledger columns: `reliability.<norm>-<eps>.<what>`, see the probes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import polars as pl
from pydantic import Field

from raiaudit.attacks.threats import Norm, ThreatModel
from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.robustness.attack_names import DEFAULT_NORM
from raiaudit.audit.robustness.reliability_probes import PROBES, as_series, probes_for
from raiaudit.audit.robustness.reliability_sample import Sample, column, read_sample
from raiaudit.audit.robustness.reliability_summary import findings, measurements, outside_the_ball
from raiaudit.errors import UsageError
from raiaudit.models.numbers import Fraction

if TYPE_CHECKING:
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = ["Reliability", "ReliabilityConfig"]

_NORMS: dict[str, frozenset[str]] = {
    "image": frozenset({"linf", "l2"}),
    "text": frozenset({"l0"}),
    "tabular": frozenset({"l1", "linf"}),
}


class ReliabilityConfig(CheckConfig):
    """`eps` is the radius whose robust accuracy is to be trusted, in the units of the input space."""

    norm: Literal["linf", "l2", "l1", "l0"] | None = Field(
        default=None, description="default: linf for images, l0 for texts, l1 for tables"
    )
    eps: Fraction = Field(gt=0, description="the radius of the gate that is looked after")
    examples: int = Field(default=64, ge=8, description="test examples in the sample, the first ones")
    steps: int = Field(default=40, ge=10, description="of the plain attack, whose variants are compared")
    queries: int = Field(default=500, ge=1, description="of the black-box search, for each example")


class Reliability:
    """One task a probe, cheap ones first."""

    id: ClassVar[str] = "robustness.reliability"
    version: ClassVar[int] = 1
    question: ClassVar[str] = "Can the evaluation of robustness be trusted, or was the attack defeated?"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LOGITS, Capability.GRADIENTS})
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = ReliabilityConfig

    def tasks(self, subject: Subject, config: ReliabilityConfig) -> Sequence[Task]:
        """The probes of the modality. Raises `UsageError` for a norm that its attacks do not have."""
        norm = _norm(subject, config)
        return [
            Task(
                check=self.id,
                name=f"{norm}-{config.eps:g}-{probe}",
                params={
                    "probe": probe,
                    "norm": norm,
                    "eps": config.eps,
                    "count": min(len(subject.test), config.examples),
                    "options": {"steps": config.steps, "queries": config.queries},
                },
                version=self.version,
            )
            for probe in probes_for(subject.dataset.modality)
        ]

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """One probe on the whole sample."""
        norm, eps, count = task.params["norm"], task.params["eps"], task.params["count"]
        probe = PROBES[task.params["probe"]]
        found = probe(subject, ThreatModel(norm, eps), count, task.params["options"])
        columns = [as_series(column(norm, eps, name), values) for name, values in found.items()]
        return pl.DataFrame([subject.test.ids[:count].alias("example_id"), *columns])

    def summarise(
        self, ledger: LedgerReader, subject: Subject, config: ReliabilityConfig
    ) -> list[Measurement]:
        """`flags_raised`, which casts the doubts; each flag's share; what withstood everything; the cost."""
        norm = _norm(subject, config)
        return measurements(self.id, _sample(ledger, subject, norm, config.eps), norm, config.eps)

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: ReliabilityConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`flags`: flag, share, low, high, tolerance, n, raised, text."""
        norm = _norm(subject, config)
        rows = [
            {
                "flag": finding.flag.name,
                "share": None if finding.count is None else finding.count / finding.n,
                "low": finding.low,
                "high": finding.high,
                "tolerance": finding.flag.tolerance,
                "n": finding.n,
                "raised": finding.raised,
                "text": finding.text if finding.raised else finding.why,
                "norm": norm,
                "eps": config.eps,
            }
            for finding in findings(_sample(ledger, subject, norm, config.eps))
        ]
        return {"flags": pl.DataFrame(rows, infer_schema_length=None)}


def _sample(ledger: LedgerReader, subject: Subject, norm: str, eps: float) -> Sample:
    """The sample, with the evaluation's own adversarial inputs checked as well."""
    sample = read_sample(ledger, norm, eps)
    if "invalid" in sample and (bad := set(outside_the_ball(ledger, subject, norm))):
        ids = ledger.scan(column(norm, eps, "asked")).drop_nulls().collect()["example_id"]
        sample.columns["invalid"] = sample["invalid"] | ids.is_in(list(bad)).to_numpy()
    return sample


def _norm(subject: Subject, config: ReliabilityConfig) -> Norm:
    modality = subject.dataset.modality
    norm = config.norm or DEFAULT_NORM[modality]
    if norm not in _NORMS[modality]:
        raise UsageError(
            f"the diagnostics of {modality} data have no norm {norm!r}",
            where="robustness.reliability norm",
            remedy=f"choices: {', '.join(sorted(_NORMS[modality]))}",
        )
    return norm
