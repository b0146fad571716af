"""The verdict matrix: a row a model of one suite, a column a pillar, each cell opens the evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from raiaudit.audit.gates import SEVERITY
from raiaudit.audit.gating import today
from raiaudit.dashboard import tables
from raiaudit.dashboard.pillars import PILLARS, pillar_of
from raiaudit.dashboard.tables import Html
from raiaudit.dashboard.wording import unbroken
from raiaudit.reports.words.headline import headlines
from raiaudit.reports.words.waiving import waiver_note
from raiaudit.reports.words.wording import interval, metric_title, slice_text, threshold, value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.gates import Status, Verdict
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.results import Results

__all__ = ["Answer", "answer", "draw"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a run says about a pillar: the worst of its gates, or why there is none.

    `status` is None where nothing was judged; `number` where nothing was measured.
    """

    status: Status | None
    number: str
    lines: tuple[str, ...]
    tested: bool = True


def answer(results: Results, pillar: str) -> Answer:
    """The cell of `results` under `pillar`."""
    verdicts = [v for v in results.verdicts if pillar_of(v.check) == pillar]
    if verdicts:
        worst = max(verdicts, key=lambda verdict: SEVERITY[verdict.status])
        number, *lines = _judged(worst)
        note = waiver_note(worst, today())
        return Answer(worst.status, number, (*lines, _share(verdicts, worst.status), note))
    outcomes = [check for check in results.checks if pillar_of(check.check) == pillar]
    if not outcomes:
        return Answer(None, "", ("not in the spec",), tested=False)
    if not any(check.status == "ran" for check in outcomes):
        status: Status = "error" if any(check.status == "error" for check in outcomes) else "not_run"
        return Answer(status, "", (outcomes[0].reason or "no reason was recorded",), tested=False)
    found = _headline(results, pillar)
    if found is None:
        return Answer(None, "", ("measured, no gate",))
    return Answer(None, _value(found), (unbroken(interval(found)), metric_title(found.metric), "no gate"))


def draw(caption: str, results: Sequence[Results]) -> None:
    """The table; its cells lead to the pillar of the run."""
    others = {pillar_of(check.check) for result in results for check in result.checks} - set(PILLARS)
    pillars = [*PILLARS, *sorted(others)]
    head = [tables.text("Model"), *(tables.text(pillar.capitalize()) for pillar in pillars)]
    tables.draw(caption, head, [_row(result, pillars) for result in results])


def _row(results: Results, pillars: Sequence[str]) -> tuple[Html, list[Html]]:
    name = tables.linked("run", tables.text(results.subject.name), run=results.run)
    partial = "partial: not all examples" if results.partial else ""
    heading = tables.joined(name, tables.badge(results.verdict), tables.less(partial))
    return heading, [_cell(results, pillar) for pillar in pillars]


def _cell(results: Results, pillar: str) -> Html:
    found = answer(results, pillar)
    mark = tables.badge(found.status) if found.status else Html("")
    if not found.tested and not mark:
        mark = tables.absent("Not tested")
    number = tables.strong(found.number) if found.number else Html("")
    whole = tables.joined(
        tables.unseen(f"{results.subject.name}, {pillar}:"),
        tables.joined(mark, number),
        *(tables.less(line) for line in found.lines if line),
    )
    # A pillar that the spec leaves out has no evidence to open.
    if not found.tested and found.status is None:
        return whole
    return tables.linked("run", whole, plainly=True, run=results.run, pillar=pillar.capitalize())


def _judged(verdict: Verdict) -> tuple[str, ...]:
    """Number, interval, what was asked of which metric, where."""
    gate, measured = verdict.gate, verdict.measurement
    if gate is None:
        return "", verdict.explanation
    asked = f"{metric_title(gate.metric)}, asked\u00a0{unbroken(threshold(gate, measured))}"
    if measured is None:
        return "", asked, slice_text(gate.where)
    return _value(measured), unbroken(interval(measured)), asked, slice_text(gate.where)


def _share(verdicts: Sequence[Verdict], status: Status) -> str:
    """How many of several gates are as bad as the worst."""
    alike = sum(verdict.status == status for verdict in verdicts)
    if len(verdicts) == 1:
        return ""
    return f"all {alike} gates" if alike == len(verdicts) else f"{alike} of {len(verdicts)} gates"


def _value(measured: Measurement) -> str:
    return "not defined" if measured.value is None else value(measured)


def _headline(results: Results, pillar: str) -> Measurement | None:
    of_pillar = (
        found.measurement
        for found in headlines(results)
        if found is not None and pillar_of(found.measurement.check) == pillar
    )
    return next(of_pillar, None)
