"""One section a check: the question, the method, the threshold and who set it, the numbers, the limits."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from raiaudit.reports.content.crossed import crossed, in_common
from raiaudit.reports.words.catalogues import limits
from raiaudit.reports.words.citations import short_citation
from raiaudit.reports.words.remarks import remarks
from raiaudit.reports.words.waiving import waiver_note
from raiaudit.reports.words.wording import check_title, interval, metric_title, slice_text, threshold, value

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import date

    from raiaudit.audit.gates import Verdict
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.results import CheckOutcome, Results
    from raiaudit.reports.content.crossed import CrossTable

__all__ = ["gate_rows", "sections"]

_ROWS_SHOWN = 60
_ROW_BY_ROW = frozenset({"group", "from"})


def gate_rows(verdicts: Sequence[Verdict], day: date) -> list[dict[str, Any]]:
    """Every gate: what it asked, what was measured, what that allows to say, and who has waived it."""
    return [
        {
            "check": check_title(verdict.check),
            "asked": _asked(verdict),
            "threshold": "" if verdict.gate is None else threshold(verdict.gate, verdict.measurement),
            "value": "" if verdict.measurement is None else value(verdict.measurement),
            "interval": "" if verdict.measurement is None else interval(verdict.measurement),
            "status": verdict.status,
            "explanation": verdict.explanation,
            "waiver": waiver_note(verdict, day),
        }
        for verdict in verdicts
    ]


def sections(
    results: Results, methods: Sequence[str], *, owner: str, day: date, tabled: Collection[str] = ()
) -> list[dict[str, Any]]:
    """One a check id, in the order of the spec; a check that the spec uses twice has one section.

    Of the checks `tabled`, sheets show row by row what is said of single groups: it is not said twice.
    Waivers count if they do on `day`.
    """
    number = {method: i for i, method in enumerate(methods, start=1)}
    outcomes: dict[str, list[CheckOutcome]] = {}
    for outcome in results.checks:
        outcomes.setdefault(outcome.check, []).append(outcome)
    return [
        _section(results, check, found, number, owner, day, tabled=check in tabled)
        for check, found in outcomes.items()
    ]


def _section(
    results: Results,
    check: str,
    outcomes: list[CheckOutcome],
    number: dict[str, int],
    owner: str,
    day: date,
    *,
    tabled: bool,
) -> dict[str, Any]:
    measured = [m for m in results.measurements if m.check == check]
    shown = [m for m in measured if not _ROW_BY_ROW & set(m.where)] if tabled else measured
    listed = [m for m in shown if not _said(m, measured)]
    verdicts = [verdict for verdict in results.verdicts if verdict.check == check]
    used = sorted({(number[m.method], m.method) for m in measured})
    ranked = sorted(listed, key=_weight)
    tables, singly = crossed(ranked, rows=_ROWS_SHOWN)
    left = _ROWS_SHOWN - sum(len(table.rows) for table in tables)
    printed = [m for m in singly if m.value is not None][: max(0, left)]
    undefined = [m for m in ranked if m.value is None][:_ROWS_SHOWN]
    shared = in_common([list(m.where.items()) for m in printed]) if len(printed) > 1 else {}
    return {
        "check": check,
        "title": check_title(check),
        "question": outcomes[0].question,
        "statuses": [
            *([outcome.status, outcome.reason or ""] for outcome in outcomes),
            *(["inconclusive", remark] for remark in remarks(results, check)),
        ],
        "methods": [[i, short_citation(method)] for i, method in used],
        "facts": [
            ("Settings", "; ".join(dict.fromkeys(_settings(outcome) for outcome in outcomes))),
            ("Threshold set by", _author(verdicts, owner)),
            ("Examples", _sizes(measured)),
            ("Intervals", _levels(measured)),
        ],
        "gates": gate_rows(verdicts, day),
        "numbers": bool(measured),
        "rows": [
            {
                "metric": metric_title(m.metric),
                "slice": slice_text({key: item for key, item in m.where.items() if key not in shared}),
                "value": value(m),
                "interval": interval(m),
                "n": f"{m.n:,}",
                "method": number[m.method],
            }
            for m in printed
        ],
        "singly_first": bool(printed) and printed[0] is ranked[0],
        "throughout": slice_text(shared),
        "crossed": [_numbered(table, number) for table in tables],
        "undefined": [
            {"metric": metric_title(m.metric), "slice": slice_text(m.where), "why": m.reason}
            for m in undefined
        ],
        "omitted": len(measured)
        - len(listed)
        + len([m for m in singly if m.value is not None])
        - len(printed),
        "limits": limits(check),
    }


def _numbered(table: CrossTable, number: dict[str, int]) -> dict[str, Any]:
    rows = [asdict(row) | {"methods": [number[method] for method in row.methods]} for row in table.rows]
    return {"caption": table.caption, "of": table.of, "columns": table.columns, "rows": rows}


def _weight(m: Measurement) -> bool:
    """Last, where there is no room for all: single classes, and what a comparison could have shown."""
    return "class" in m.where or m.metric == "minimum_detectable_gap"


def _said(m: Measurement, measured: Sequence[Measurement]) -> bool:
    """Whether what it stands beside is undefined for the same reason, and says so already."""
    return (
        m.value is None
        and m.beside is not None
        and any(
            other.beside is None and (other.metric, other.reason) == (m.metric, m.reason)
            for other in measured
        )
    )


def _asked(verdict: Verdict) -> str:
    if verdict.gate is None:
        return "the check itself"
    where = slice_text(verdict.gate.where)
    return metric_title(verdict.gate.metric) + (f" ({where})" if where else "")


def _author(verdicts: Sequence[Verdict], owner: str) -> str:
    if not any(verdict.gate is not None for verdict in verdicts):
        return "nobody: no gate was set, the numbers below were not judged"
    return f"the specification, before the run{f' (owner: {owner})' if owner else ''}"


def _settings(outcome: CheckOutcome) -> str:
    given = {key: setting for key, setting in outcome.config.items() if setting not in (None, {})}
    return ", ".join(f"{key} {_plain(setting)}" for key, setting in given.items()) or "defaults"


def _plain(setting: object) -> str:
    if isinstance(setting, float):
        return f"{setting:.4g}"
    if isinstance(setting, list | tuple):
        return "(" + ", ".join(_plain(item) for item in setting) + ")"
    if isinstance(setting, dict):
        parts = [f"{key} {_plain(item)}" for key, item in setting.items() if item not in (None, "", {})]
        return "(" + ", ".join(parts) + ")"
    return str(setting)


def _sizes(measured: Sequence[Measurement]) -> str:
    sizes = [m.n for m in measured]
    if not sizes:
        return "none"
    low, high = min(sizes), max(sizes)
    return f"n = {low:,}" if low == high else f"n = {low:,} to {high:,}, by slice"


def _levels(measured: Sequence[Measurement]) -> str:
    levels = sorted({m.confidence for m in measured if m.low is not None})
    return ", ".join(f"{100 * level:g} %" for level in levels) or "none: no measurement here has one"
