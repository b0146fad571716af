"""The verdict table and the list of gates as a terminal shows them.

A verdict has a symbol and a word besides its colour. Cells are `rich.text.Text`, never markup, so that
a model called `[bold]` is shown as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from raiaudit.audit.gating import idle, rule, today
from raiaudit.reports.theme import VERDICTS
from raiaudit.reports.words.headline import COLUMNS, headlines, shown_columns
from raiaudit.reports.words.waiving import waiver_note
from raiaudit.reports.words.wording import check_title, value

if TYPE_CHECKING:
    from datetime import date

    from rich.table import Table
    from rich.text import Text

    from raiaudit.audit.gates import Status
    from raiaudit.audit.results import Results
    from raiaudit.audit.store import Run
    from raiaudit.reports.words.headline import Headline

__all__ = ["gate_lines", "idle_lines", "verdict_lines", "verdict_table"]


def verdict_table(runs: Sequence[Run], day: date | None = None) -> Table:
    """One row a finished run; a number is followed by the symbol of the gate on it, if there is one.

    The verdict is what the gates come to on `day` (by default today), waivers counted.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    results = [run.results for run in runs]
    rows = [headlines(result) for result in results]
    columns = shown_columns(rows)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("\nmodel", overflow="fold", min_width=10)
    table.add_column("\nverdict", overflow="fold")
    for i in columns:
        table.add_column(COLUMNS[i].short, justify="right", overflow="fold")
    for result, row in zip(results, rows, strict=True):
        name = _text(result.subject.name + (" PARTIAL" if result.partial else ""))
        ruling = rule(result, day or today())
        cell = _verdict(ruling.status)
        if ruling.waived:
            cell.append_text(_text(f" ({len(ruling.waived)} waived)"))
        table.add_row(name, cell, *(_cell(row[i]) for i in columns))
    return table


def gate_lines(run: Run, day: date | None = None) -> list[Text]:
    """One line a gate: symbol, word, model, check, and why; a second line if it has a waiver."""
    return verdict_lines(run.results, day)


def verdict_lines(results: Results, day: date | None = None) -> list[Text]:
    """The same from results that are no run."""
    day = day or today()
    lines = []
    for verdict in results.verdicts:
        line = _verdict(verdict.status, width=14)
        line.append_text(_text(f" {results.subject.name}  ", "bold"))
        line.append_text(_text(f"{check_title(verdict.check)}: {verdict.explanation}"))
        lines.append(line)
        if note := waiver_note(verdict, day):
            style = "bold" if verdict.waived(day) else f"bold {VERDICTS['fail'].style}"
            lines.append(_text(f"{'':15}{note}", style))
    if not lines:
        line = _verdict("inconclusive", width=14)
        line.append_text(_text(f" {results.subject.name}  ", "bold"))
        line.append_text(_text("no gate was set, so nothing was decided"))
        lines.append(line)
    return lines


def idle_lines(results: Sequence[Results], day: date | None = None) -> list[Text]:
    """One line a waiver that does nothing: it was mistyped, its gate is gone, or passes without it."""
    lines = [
        _text(f"a waiver of {waiver.owner} matches no gate here: {waiver.title()}", "bold yellow")
        for waiver in idle(results)
    ]
    for result in results:
        for verdict in rule(result, day or today()).needless:
            assert verdict.waiver is not None
            gate = f"{result.subject.name} passes {verdict.waiver.title()}"
            lines.append(_text(f"a waiver of {verdict.waiver.owner} is not needed: {gate}", "dim"))
    return lines


def _verdict(status: Status, *, width: int = 0) -> Text:
    look = VERDICTS[status]
    return _text(f"{look.symbol} {look.word}".ljust(width), look.style)


def _cell(headline: Headline | None) -> Text:
    if headline is None:
        return _text("–", "dim")
    m = headline.measurement
    if m.value is None:
        return _text("undef.", "dim")
    text = _text(value(m).removesuffix(" %"))  # the column's title has the unit
    if headline.status is not None:
        look = VERDICTS[headline.status]
        text.append(look.symbol, style=look.style)
    else:
        text.append(" ")
    return text


def _text(content: str, style: str = "") -> Text:
    """Control characters are shown, not obeyed: a name must not move the cursor."""
    from rich.text import Text

    return Text("".join(c if c.isprintable() else f"[U+{ord(c):04X}]" for c in content), style=style)
