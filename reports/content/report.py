"""What the report says, as plain data: a finished run in, one JSON-like structure out. No markup here.

The structure is what `templates/report.typ` sets; nothing in it varies between two readings of the
same run directory, so the same run gives the same document.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from raiaudit.audit.gates import SEVERITY
from raiaudit.audit.gating import day_of, rule
from raiaudit.reports.content.facts import data_facts, group_rows, privacy_facts, system_facts
from raiaudit.reports.content.findings import finding_rows
from raiaudit.reports.content.sections import gate_rows, sections
from raiaudit.reports.figures import SHEETS
from raiaudit.reports.theme import FLAGGED, VERDICTS
from raiaudit.reports.words.catalogues import mapping, not_tested
from raiaudit.reports.words.citations import full_citation
from raiaudit.reports.words.wording import check_title

if TYPE_CHECKING:
    from raiaudit.audit.gates import Verdict
    from raiaudit.audit.results import Results, RunHeader
    from raiaudit.audit.store import Run

    Pairs = list[tuple[str, str]]

__all__ = ["report_content"]


def report_content(run: Run) -> dict[str, Any]:
    """Everything but the figures. Raises `StorageError` while the run is unfinished."""
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
            for status, look in (*VERDICTS.items(), ("flagged", FLAGGED))
        },
        "summary": summary_sentence(results),
        "waived": _waived(results, header),
        "scope": _scope(results, header),
        "not_tested": _gaps(results),
        "hashes": _hashes(run, results),
        "gates": gate_rows(results.verdicts, day_of(header)),
        "decided": gate_rows(_decided(results), day_of(header)),
        "findings": finding_rows(results, day_of(header)),
        "system": system_facts(results.subject),
        "privacy": privacy_facts(results.subject.record.privacy),
        "data": data_facts(results.data),
        "groups": [
            row for column, levels in results.data.groups.items() for row in group_rows(column, levels)
        ],
        "environment": [("Machine", header.machine or "not recorded"), *sorted(header.versions.items())],
        "sections": sections(results, methods, owner=header.owner, day=day_of(header), tabled=_tabled(run)),
        "mapping": mapping(ran),
        "bibliography": [[method, full_citation(method)] for method in methods],
        "commands": [
            header.command or f"raiaudit run {PurePath(header.spec_path).name or 'spec.lock.yaml'}",
            f"raiaudit verify report.pdf runs/{results.run}",
        ],
        "spec": run.spec_lock,
    }


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


def _decided(results: Results) -> list[Verdict]:
    """The gates that did not pass, the gravest first."""
    open_gates = [verdict for verdict in results.verdicts if verdict.status != "pass"]
    return sorted(open_gates, key=lambda verdict: -SEVERITY[verdict.status])


def _waived(results: Results, header: RunHeader) -> str:
    """What the gates come to without those waived on the day of the run; empty where none is."""
    day = day_of(header)
    ruling = rule(results, day)
    if not ruling.waived:
        return ""
    gates = "1 gate is" if len(ruling.waived) == 1 else f"{len(ruling.waived)} gates are"
    return f"On {day} {gates} waived; the gates that count come to: {VERDICTS[ruling.status].word.lower()}."


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


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
