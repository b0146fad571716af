"""The sections of a model card, each from the record alone: lines of Markdown, every name escaped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from raiaudit.models.markdown import escape
from raiaudit.models.names import ARCHITECTURE_NAMES

if TYPE_CHECKING:
    from raiaudit.models.cards import AuditFindings
    from raiaudit.models.recipe import Adversary, Recipe
    from raiaudit.models.version import PrivacyRecord, TrainingRecord

__all__ = [
    "data",
    "details",
    "evaluation",
    "fairness",
    "limits",
    "loading",
    "modality_of",
    "privacy",
    "procedure",
    "robustness",
    "use",
]

_CLASSES_SHOWN = 20
_PILLARS = {
    "performance": "accuracy on test examples",
    "robustness": "robustness to attacks and corruptions",
    "privacy": "membership inference",
    "fairness": "differences between groups",
    "explanations": "explanations",
    "reliability": "calibration",
}
"""First part of a check's id → what is unknown while no check of the pillar ran."""
_METHODS = {
    "correlation_remover": "correlation removal (what is linear in the attribute, taken out of every column)",
    "reweighing": "reweighing (doi:10.1007/s10115-011-0463-8)",
    "group_dro": "group DRO (arXiv:1911.08731)",
    "adversarial_debiasing": "adversarial debiasing (arXiv:1801.07593)",
    "lagrangian": "constraints on gaps while training (arXiv:1803.02453, arXiv:1809.04198)",
    "group_thresholds": "thresholds by group, fitted on validation data (arXiv:1610.02413)",
    "shared_threshold": "one threshold for all, moved to where groups differ least on validation data",
}
_OBJECTIVES = {
    "pgd": "PGD adversarial training (arXiv:1706.06083)",
    "trades": "TRADES (arXiv:1901.08573)",
    "mart": "MART (OpenReview rklOg6EFwS)",
    "fast": "N-FGSM, one step (arXiv:2202.01181)",
}


def modality_of(record: TrainingRecord) -> str | None:
    """What the model reads, where the record tells: an MLP reads tables if its input has one axis."""
    takes = ARCHITECTURE_NAMES.get(record.architecture, frozenset())
    if len(takes) == 1:
        return next(iter(takes))
    shape = record.config.get("shape")
    if takes == {"tabular", "image"} and isinstance(shape, list):
        return "tabular" if len(shape) == 1 else "image"
    return None


def details(record: TrainingRecord) -> Iterator[str]:
    """What it is: size, digest, code, how it was loaded."""
    yield f"- Architecture: {escape(record.architecture)}"
    if record.is_black_box:
        yield "- Parameters: not visible, the model can only be asked"
        yield f"- Fingerprint of its answers: {escape(record.weights_digest)}"
    else:
        yield f"- Parameters: {record.parameters:,}"
        yield f"- Weights (safetensors), sha256 over the tensors: {escape(record.weights_digest)}"
    yield f"- Code: raiaudit {escape(record.code_version)}"
    yield "- Licence of the weights: not recorded"
    if record.loaded is not None:
        yield f"- Loaded from: {escape(record.loaded.form)}"
        if record.loaded.unsafe:
            yield "- Its file could have run code when it was loaded; it was loaded all the same"


def use(record: TrainingRecord) -> Iterator[str]:
    """What it reads and answers."""
    modality = modality_of(record)
    reads = {"image": "images", "text": "texts", "tabular": "table rows"}.get(modality or "", "inputs")
    count = len(record.classes) or record.config.get("classes")
    into = f" into {count} classes" if isinstance(count, int) else ""
    yield f"A classifier of {reads}{into}."
    if record.classes:
        shown = ", ".join(escape(each) for each in record.classes[:_CLASSES_SHOWN])
        more = len(record.classes) - _CLASSES_SHOWN
        yield f"In the order of its outputs: {shown}{f' and {more} more' if more > 0 else ''}."
    yield "No use beyond that is recorded; whether it is fit for one is for an audit of that use to say."


def data(record: TrainingRecord) -> Iterator[str]:
    """What it was trained on."""
    if record.recipe is None:
        yield "The model was not trained here: what it was trained on is not recorded."
        if record.data_name:
            yield ""
            yield f"- Answers for: {escape(record.data_name)}"
            if record.data_digest:
                yield f"- Digest of that data: {escape(record.data_digest)}"
        return
    yield f"- Data set: {escape(record.data_name or 'not recorded')}"
    yield f"- Digest (sha256 of content and loader): {escape(record.data_digest or 'not recorded')}"
    yield f"- Source: {escape(record.data_source or 'not recorded')}"
    yield f"- Licence of the data: {escape(record.data_licence or 'not recorded')}"
    if "training_examples" in record.metrics:
        yield f"- Training examples: {record.metrics['training_examples']:,.0f}"


def procedure(record: TrainingRecord) -> Iterator[str]:
    """Recipe, seed, duration."""
    if record.recipe is None:
        yield "Trained elsewhere: no recipe, seed or duration is recorded."
        return
    yield f"- Kind: {record.recipe.kind}"
    if record.privacy is not None:
        yield "- Seed: withheld, for the noise was drawn from it (`record.json` holds it: keep that private)"
    else:
        yield f"- Seed: {'not recorded' if record.seed is None else record.seed}"
    yield f"- Seconds: {'not recorded' if record.seconds is None else f'{record.seconds:.1f}'}"
    yield f"- Device: {escape(record.device or 'not recorded')}"
    yield ""
    yield "The recipe in full, as a spec takes it:"
    yield ""
    yield "```json"
    yield record.recipe.model_dump_json(indent=2, exclude_none=True)
    yield "```"


def evaluation(record: TrainingRecord, audit: AuditFindings | None) -> Iterator[str]:
    """Validation numbers of the record, then the audit's, each said to be what it is."""
    named = {key: value for key, value in record.metrics.items() if key != "training_examples"}
    if named:
        yield "Recorded at training, on the validation split (no interval: its size is not in the record):"
        yield ""
        yield "| metric | value |"
        yield "|---|---:|"
        for key, value in named.items():
            yield f"| {escape(key)} | {value:.6g} |"
        if "validation_score" in named:
            yield ""
            yield "The epoch was chosen by the validation score: these numbers are optimistic."
    else:
        yield "No metric was recorded at training."
    if audit is None:
        yield ""
        yield "No test result is part of this card: `raiaudit models card NAME --run RUN` adds an audit's."
        return
    yield ""
    part = " PARTIAL: a limit left out the rest." if audit.partial else ""
    yield (
        f"Audited by raiaudit, run {escape(audit.run)}, on {audit.examples:,} test examples of "
        f"{escape(audit.data_name)} (digest {escape(audit.data_digest)}).{part} "
        f"Verdict of the run: {escape(audit.verdict)}."
    )
    yield ""
    yield "| measured | value and interval | confidence | n | gate |"
    yield "|---|---:|---:|---:|---|"
    for found in audit.findings:
        confidence = "–" if found.low is None else f"{100 * found.confidence:g} %"
        cells = (escape(found.title), escape(found.text), confidence, f"{found.n:,}")
        yield f"| {' | '.join(cells)} | {escape(found.verdict) or '–'} |"


def privacy(record: TrainingRecord) -> Iterator[str]:
    """The guarantee, if there is one."""
    spent = record.privacy
    if spent is None and record.recipe is None:
        yield "No accounting is recorded: assume no guarantee."
    elif spent is None:
        yield "Trained without differential privacy: there is no guarantee."
    else:
        yield from _accounting(spent)


def _accounting(spent: PrivacyRecord) -> Iterator[str]:
    state = "certified" if spent.certified else "not certified"
    yield f"DP-SGD (arXiv:1607.00133), {state}{f': {escape(spent.why)}' if spent.why else ''}."
    yield ""
    prv = "none" if spent.epsilon_prv is None else f"{spent.epsilon_prv:.4g}"
    yield f"- ε = {spent.epsilon_pld:.4g} (privacy-loss distribution) at δ = {spent.delta:g}"
    yield f"- ε by the PRV accountant, as a cross-check: {prv}; asked for: {spent.target_epsilon:g}"
    yield f"- Noise multiplier σ = {spent.noise_multiplier:.6g}, clipping norm C = {spent.clip:g}"
    yield f"- Sampling rate q = {spent.sample_rate:.6g} over {spent.steps:,} steps"
    yield f"- Poisson sampling: {'yes' if spent.poisson_sampling else 'no'}"
    yield "- Unit: one training example, added or removed"
    yield "- The noise has a seed: the guarantee holds against whoever can neither know nor guess it"


def fairness(recipe: Recipe | None) -> Iterator[str]:
    """What training did about groups."""
    if recipe is None:
        yield "Not recorded."
    elif recipe.fairness is None:
        yield "None."
    else:
        how = recipe.fairness
        yield f"{_METHODS[how.method]} over the group column {escape(how.attribute)}."
        yield "What it achieved is for `fairness.groups` to measure."


def robustness(record: TrainingRecord) -> Iterator[str]:
    """What training did about adversaries."""
    if record.recipe is None:
        yield "Not recorded."
    elif record.recipe.adversary is None:
        yield "None: trained on clean inputs."
    else:
        yield from _adversary(record.recipe.adversary)
        if record.metrics.get("collapsed"):
            yield ""
            yield "Training collapsed (catastrophic overfitting) and was ended; the best epoch was kept."
        yield ""
        yield "What it achieved is for `robustness.evasion` to measure."


def _adversary(ball: Adversary) -> Iterator[str]:
    yield f"{_OBJECTIVES[ball.objective]} in {'L∞' if ball.norm == 'linf' else 'L2'}, ε = {ball.eps:.6g}."
    yield ""
    yield f"- Steps of the inner attack: {1 if ball.objective == 'fast' else ball.steps}"
    if ball.ramp:
        yield f"- ε grows over the first {100 * ball.ramp:g} % of the epochs"
    if ball.weight_perturbation:
        yield f"- Adversarial weight perturbation (arXiv:2004.05884): {ball.weight_perturbation:g}"
    if ball.gradalign:
        yield f"- Gradient alignment (arXiv:2007.02617): {ball.gradalign:g}"


def limits(record: TrainingRecord, audit: AuditFindings | None) -> Iterator[str]:
    """What this card does not know."""
    ran = {check.partition(".")[0] for check in audit.checks} if audit is not None else set()
    unknown = [what for pillar, what in _PILLARS.items() if pillar not in ran]
    if unknown:
        yield f"- Not measured here: {', '.join(unknown)}"
    if record.recipe is not None:
        yield "- One seed: how far another training run would differ is not part of this card"
    if audit is not None and audit.data_digest != record.data_digest:
        yield "- The audit's data are not the data the record names"
    for limit in record.loaded.limits if record.loaded is not None else ():
        yield f"- As it was loaded: {escape(limit)}"
    yield "- Nothing here speaks for other data than the data named above"


def loading(name: str, record: TrainingRecord, version: int | None) -> Iterator[str]:
    """Code that loads the weights."""
    if record.is_black_box:
        yield "There are no weights: name its endpoint in a spec."
        return
    yield "From the folder of the version (with `model.safetensors` and `record.json`):"
    yield ""
    yield "```python"
    yield "import json"
    yield "from pathlib import Path"
    yield ""
    yield "from raiaudit.models.architectures import build"
    yield "from raiaudit.models.weights import load_weights"
    yield ""
    yield 'record = json.loads(Path("record.json").read_text())'
    yield 'classifier = build(record["architecture"], record["config"]).eval()'
    yield 'load_weights(classifier, Path("model.safetensors"))'
    yield "# logits = classifier(classifier.encode(inputs))"
    yield "```"
    if version:
        yield ""
        yield "From the registry it is in, which also checks the digest:"
        yield ""
        yield "```python"
        yield "from pathlib import Path"
        yield ""
        yield "from raiaudit.models.registry import Registry"
        yield ""
        yield f'version = Registry.open(Path(".raiaudit").resolve()).load({json.dumps(f"{name}/{version}")})'
        yield "```"
