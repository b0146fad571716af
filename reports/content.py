"""What the report says, as plain data: a finished run in, one JSON-like structure out. No markup here.

The structure is what `templates/report.typ` sets; nothing in it varies between two readings of the
same run directory, so the same run gives the same document.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from raiaudit.audit.gating import day_of
from raiaudit.models.names import PREDICTIONS
from raiaudit.models.recipe import SETTINGS
from raiaudit.reports.catalogues import mapping, not_tested
from raiaudit.reports.figures import SHEETS
from raiaudit.reports.sections import gate_rows, sections
from raiaudit.reports.theme import VERDICTS
from raiaudit.reports.wording import check_title

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raiaudit.audit.results import DataCard, Results, RunHeader, SubjectCard
    from raiaudit.audit.store import Run
    from raiaudit.models.recipe import Mitigation
    from raiaudit.models.version import PrivacyRecord

    Pairs = list[tuple[str, str]]

__all__ = ["report_content"]

_SETTING_SHOWN = 160
_CLASSES_SHOWN = 24

_GROUPS = 40


def report_content(run: Run) -> dict[str, Any]:
    """Everything but the figures. Raises `StorageError` while the run is unfinished."""
    from raiaudit.audit.bibliography import BIBLIOGRAPHY

    results, header = run.results, run.header
    ran = frozenset(outcome.check for outcome in results.checks if outcome.status == "ran")
    methods = sorted({m.method for m in results.measurements})
    return {
        "run": results.run,
        "date": header.started[:10],
        "model": f"{results.subject.name} v{results.subject.version}"
        if results.subject.version
        else results.subject.name,
        "data_name": results.data.name,
        "partial": results.partial,
        "verdict": results.verdict,
        "looks": {
            status: {"word": look.word, "symbol": look.symbol, "colour": look.colour, "tint": look.tint}
            for status, look in VERDICTS.items()
        },
        "summary": summary_sentence(results),
        "scope": _scope(results, header),
        "not_tested": _gaps(results),
        "hashes": _hashes(run, results),
        "gates": gate_rows(results.verdicts, day_of(header)),
        "system": _system(results.subject),
        "privacy": _privacy(results.subject.record.privacy),
        "data": _data(results.data),
        "groups": [row for column, levels in results.data.groups.items() for row in _levels(column, levels)],
        "environment": [("Machine", header.machine or "not recorded"), *sorted(header.versions.items())],
        "sections": sections(results, methods, owner=header.owner, day=day_of(header), tabled=_tabled(run)),
        "mapping": mapping(ran),
        "bibliography": [[method, BIBLIOGRAPHY.get(method, "")] for method in methods],
        "commands": [
            header.command or f"raiaudit run {PurePath(header.spec_path).name or 'spec.lock.yaml'}",
            f"raiaudit verify report.pdf runs/{results.run}",
        ],
        "spec": run.spec_lock,
    }


def _levels(column: str, levels: Mapping[str, int]) -> list[list[str]]:
    """A row a group; of hundreds the largest, and what the others are together."""
    shown = dict(sorted(levels.items(), key=lambda item: -item[1])[:_GROUPS])
    rows = [[column, level, f"{count:,}"] for level, count in levels.items() if level in shown]
    more, people = len(levels) - len(shown), sum(levels.values()) - sum(shown.values())
    return [*rows, *([[column, f"and {more:,} smaller groups", f"{people:,}"]] if more else [])]


def _tabled(run: Run) -> frozenset[str]:
    """The checks of which this run holds tables that are printed as tables."""
    folder = run.folder / "evidence"
    return frozenset(
        check
        for check, names in SHEETS.items()
        if any((folder / check / f"{n}.parquet").is_file() for n in names)
    )


def summary_sentence(results: Results) -> str:
    """ "9 gates: 7 pass, 1 fail, 1 inconclusive." """
    if not results.verdicts:
        return "No gate was set, so nothing was decided: the verdict is inconclusive."
    counts = Counter(verdict.status for verdict in results.verdicts)
    parts = [f"{counts[status]} {look.word.lower()}" for status, look in VERDICTS.items() if counts[status]]
    total = len(results.verdicts)
    return f"{total} {'gate' if total == 1 else 'gates'}: {', '.join(parts)}."


def _scope(results: Results, header: RunHeader) -> Pairs:
    data = results.data
    checks = dict.fromkeys(
        check_title(outcome.check) for outcome in results.checks if outcome.status == "ran"
    )
    return [
        ("Purpose", results.purpose or header.purpose or "not stated"),
        ("Owner", header.owner or "not stated"),
        ("Risk class", header.risk_class or "not stated"),
        ("Data", f"{data.name} ({data.modality}, {len(data.classes)} classes)"),
        ("Audited", f"{data.audited:,} of {_whole(results)}"),
        ("Checks", ", ".join(checks) or "none ran"),
        ("Audit date", f"{header.started[:10]} (UTC), seed {results.seed}"),
    ]


def _whole(results: Results) -> str:
    """What the audited examples are all, or a part, of."""
    if results.subject.record.is_predictions:
        return f"{sum(results.data.sizes.values()):,} rows"
    return f"{results.data.sizes.get('test', results.data.audited):,} held-out examples"


def _gaps(results: Results) -> list[str]:
    gaps = []
    if results.partial:
        total = results.data.sizes.get("test", results.data.audited)
        gaps.append(
            f"PARTIAL: --limit left out {total - results.data.audited:,} of {total:,} held-out examples."
        )
    if results.subject.record.is_black_box:
        gaps.append(
            "The model could only be asked. No attack saw its gradients, so robust accuracy is a looser "
            "upper bound, and nothing proves that one and the same model gave all answers."
        )
    if results.subject.record.loaded is not None:
        gaps += results.subject.record.loaded.limits
    for outcome in results.checks:
        if outcome.status != "ran":
            how = "did not run" if outcome.status == "not_run" else "ended with an error"
            gaps.append(f"{check_title(outcome.check)} {how}: {outcome.reason or 'no reason recorded'}.")
    asked = frozenset(outcome.check for outcome in results.checks)
    return gaps + [f"{evidence}." for evidence in not_tested(asked)]


def _hashes(run: Run, results: Results) -> Pairs:
    sealed = [
        ("spec.lock.yaml", _sha256(run.spec_lock.encode())),
        ("results.json", _sha256((run.folder / "results.json").read_bytes())),
    ]
    if results.subject.record.is_predictions:
        return [*sealed, ("predictions", results.data.digest)]
    shards = "\n".join(sorted(shard.path.name for shard in run.ledger.shards()))
    return [
        *sealed,
        ("ledger (shard names)", _sha256(shards.encode())),
        (
            "model answers (fingerprint)" if results.subject.record.is_black_box else "model weights",
            results.subject.record.weights_digest,
        ),
        ("data set", results.data.digest),
    ]


def _system(subject: SubjectCard) -> Pairs:
    record = subject.record
    if record.is_predictions:
        return [
            ("Name", subject.name),
            ("What it is", "predictions from a file; no model was seen"),
            ("Columns", _settings(record.config)),
            ("Code version", record.code_version),
        ]
    facts: Pairs = [
        ("Name", subject.name),
        ("Version", str(subject.version) if subject.version else "not registered"),
        (
            "Architecture",
            f"{record.architecture}, unverifiable weights: known by its answers alone"
            if record.is_black_box
            else f"{record.architecture}, {record.parameters:,} parameters",
        ),
    ]
    if record.config:
        facts.append(("Options", _settings(record.config)))
    if record.recipe is not None:
        recipe = record.recipe
        facts.append(
            (
                "Training",
                f"{recipe.kind}, {recipe.epochs} epochs, batch {recipe.batch_size}, {recipe.optimizer}",
            )
        )
        if recipe.adversary is not None:
            facts.append(("Adversary", _settings(recipe.adversary.model_dump(exclude_none=True))))
        if recipe.fairness is not None:
            facts.append(("Mitigation", _mitigation(recipe.fairness)))
    elif record.is_black_box:
        facts.append(("Training", "unknown: the model is somebody else's"))
    else:
        facts.append(("Training", "unknown: the weights came from outside"))
    if record.loaded is not None:
        how = "with --unsafe-load, which can run code" if record.loaded.unsafe else "without running code"
        facts.append(("Loaded from", f"{record.loaded.form}, {how}"))
    if record.data_name:
        facts.append(("Trained on", record.data_name))
    if record.seed is not None:
        facts.append(("Training seed", str(record.seed)))
    if record.metrics:
        facts.append(("Recorded metrics", _settings(record.metrics)))
    return [*facts, ("Code version", record.code_version)]


def _mitigation(mitigation: Mitigation) -> str:
    """The method, the attribute and the settings that the method reads."""
    given = mitigation.model_dump(exclude_none=True)
    own = {name: given[name] for name in SETTINGS.get(mitigation.method, ()) if name in given}
    return _settings({"method": mitigation.method, "attribute": mitigation.attribute, **own})


def _privacy(record: PrivacyRecord | None) -> Pairs:
    if record is None:
        return []
    prv = "not computed" if record.epsilon_prv is None else f"{record.epsilon_prv:.3f}"
    return [
        (
            "ε (PLD accountant)",
            f"{record.epsilon_pld:.3f} at δ = {record.delta:g} (target {record.target_epsilon:g})",
        ),
        ("ε (PRV accountant)", prv),
        ("Mechanism", f"Gaussian, noise multiplier {record.noise_multiplier:.4g}, clip {record.clip:g}"),
        (
            "Sampling",
            f"{'Poisson' if record.poisson_sampling else 'not Poisson'}, rate {record.sample_rate:.4g}, "
            f"{record.steps:,} steps",
        ),
        ("Certified", "yes" if record.certified else f"no: {record.why or 'no reason recorded'}"),
    ]


def _data(data: DataCard) -> Pairs:
    classes = ", ".join(data.classes[:_CLASSES_SHOWN])
    more = len(data.classes) - _CLASSES_SHOWN
    return [
        ("Name", data.name),
        ("Modality", data.modality),
        ("Examples", ", ".join(f"{name} {size:,}" for name, size in data.sizes.items())),
        ("Audited", f"{data.audited:,} {'rows' if data.modality == PREDICTIONS else 'test examples'}"),
        ("Classes", classes + (f" and {more} more" if more > 0 else "")),
        ("Source", data.source or "not stated"),
        ("Licence", data.licence or "not stated"),
    ]


def _settings(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {_setting(value)}" for key, value in values.items())


def _setting(value: Any) -> str:
    """As written; what would fill pages (a tokenizer, a table's columns) by its length and digest."""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    if len(text) <= _SETTING_SHOWN:
        return text
    return f"({len(text):,} characters, sha256 {_sha256(text.encode())[:12]})"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
