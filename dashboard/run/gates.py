"""The gates of a run: what each asked, what was measured, why it was decided so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.audit.gates import SEVERITY
from raiaudit.audit.gating import in_force, today
from raiaudit.dashboard import tables
from raiaudit.dashboard.examples.links import LEADING, gate_examples
from raiaudit.dashboard.examples.rows import open_rows
from raiaudit.dashboard.run.numbers import metric_heading
from raiaudit.dashboard.tables import Html
from raiaudit.dashboard.wording import unbroken
from raiaudit.reports.words.waiving import waiver_note
from raiaudit.reports.words.wording import check_title, interval, slice_text, threshold, value

if TYPE_CHECKING:
    from raiaudit.audit.gates import Verdict
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.results import Results
    from raiaudit.audit.store import Run
    from raiaudit.dashboard.examples.rows import ExampleRows
    from raiaudit.dashboard.pages import Pages

__all__ = ["show"]


def show(run: Run, results: Results, pages: Pages) -> None:
    """Draw the table, the worst gates first."""
    if not results.verdicts:
        st.info("The spec sets no gate, so nothing was decided: the verdict is inconclusive.")
        return
    current = in_force(run)
    verdicts = current.results.verdicts if current is not run else results.verdicts
    worst_first = sorted(verdicts, key=lambda verdict: -SEVERITY[verdict.status])
    lost = any(verdict.status in LEADING for verdict in worst_first)
    examples = open_rows(run) if lost and "example" in pages else None
    tables.draw(
        "The gates of this audit and why each was decided so",
        [tables.text(name) for name in ("Result", "Gate", "Measured", "Threshold", "Why")],
        [_row(verdict, results, examples) for verdict in worst_first],
    )


def _row(verdict: Verdict, results: Results, rows: ExampleRows | None) -> tuple[Html, list[Html]]:
    gate, measured = verdict.gate, verdict.measurement
    where = measured.where if measured is not None else gate.where if gate else {}
    metric = (
        metric_heading(gate.metric, slice_text(where), beside=check_title(verdict.check))
        if gate
        else Html("")
    )
    pillar = verdict.check.split(".")[0].capitalize()
    check = tables.linked("run", tables.text(check_title(verdict.check)), run=results.run, pillar=pillar)
    examples = Html("")
    if rows is not None and (query := gate_examples(verdict, rows)) is not None:
        examples = tables.linked(
            "example", tables.text("Its examples ›"), plainly=False, run=results.run, **query
        )
    day = today()
    waived = tables.noted("Waived") if verdict.waived(day) else Html("")
    note = tables.text(waiver_note(verdict, day))
    return tables.joined(tables.badge(verdict.status), waived), [
        tables.joined(check, metric),
        _measured(measured),
        tables.text(unbroken(threshold(gate, measured))) if gate else tables.text("—"),
        tables.joined(tables.text(_why(verdict)), note, examples, by="<br>"),
    ]


def _why(verdict: Verdict) -> str:
    """The explanation without the numbers that stand beside it, in the units of the spec."""
    gate, measured = verdict.gate, verdict.measurement
    if gate is None or measured is None or measured.value is None:
        return verdict.explanation
    asked = re.escape(gate.threshold())
    found = re.fullmatch(
        rf"{re.escape(measured.label())} = \S+(?P<interval> \[[^]]*\])? "
        rf"(?P<how>misses|clears|spans)(?: the threshold)? {asked}(?P<rest>.*)",
        verdict.explanation,
        re.DOTALL,
    )
    if found is None:
        return verdict.explanation
    subject = "The whole interval" if found["interval"] else "The number"
    if found["how"] == "spans":
        return f"The interval spans the threshold{found['rest']}"
    return f"{subject} {found['how']} the threshold{found['rest']}"


def _measured(measured: Measurement | None) -> Html:
    if measured is None or measured.value is None:
        return tables.text("—")
    return tables.joined(
        tables.strong(value(measured)),
        tables.less(unbroken(interval(measured))),
        tables.less(f"n\u00a0=\u00a0{measured.n:,}" if measured.n else ""),
    )
