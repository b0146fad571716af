"""A study as a table for a terminal and for Markdown, and its notes.

A row a metric, a column a variant. Every cell has its interval in brackets and, but for the standard model,
the paired difference to it (Δ) with an interval of its own. A difference whose interval leaves 0 out is
marked: ▲ better, ▼ worse than the standard model, ↑ ↓ where neither is better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.reports.formats.blocks import Block, escaped, markdown_table
from raiaudit.reports.words.study_words import METRIC_TITLES, in_percent, metric_slice
from raiaudit.reports.words.wording import decimal, percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from raiaudit.audit.studies.cells import Cell
    from raiaudit.audit.studies.study import Study

__all__ = ["cell_lines", "study_blocks", "study_markdown", "study_notes"]

_NONE = "–"
_ACROSS = 4  # variants


def cell_lines(metric: str, cell: Cell) -> list[str]:
    """Value with interval, then the paired difference where there is one."""
    if cell.value is None:
        return [_NONE]
    lines = [_number(metric, cell.value) + (" %" if in_percent(metric) else "")]
    if cell.low is not None and cell.high is not None:
        lines[0] += f" [{_number(metric, cell.low)}, {_number(metric, cell.high)}]"
    if (change := cell.change) is not None:
        numbers = [_signed(metric, number) for number in (change.difference, change.low, change.high)]
        lines.append(f"Δ {numbers[0]} [{numbers[1]}, {numbers[2]}]{_mark(cell)}")
    return lines


def study_blocks(study: Study) -> Iterator[Block]:
    """The table, a few variants at a time: as many as fit beside each other on a page or a terminal."""
    for start in range(0, len(study.rows), _ACROSS):
        some = study.rows[start : start + _ACROSS]
        yield Block(
            "",
            ("", *(row.variant for row in some)),
            tuple(
                (
                    [METRIC_TITLES[metric], metric_slice(study, metric)],
                    *(cell_lines(metric, row.cells[metric]) for row in some),
                )
                for metric in study.metrics
            ),
        )


def study_markdown(study: Study, blocks: Sequence[Block] = (), told: Sequence[tuple[str, str]] = ()) -> str:
    """The table, further blocks, what to read first and the notes, in Markdown."""
    lines = [line for block in (*study_blocks(study), *blocks) for line in markdown_table(block)]
    lines += [f"- **{escaped(variant)}**. {escaped(text)}" for variant, text in told]
    lines += [f"- {escaped(note)}" for note in study_notes(study)]
    return "\n".join([*lines, ""])


def study_notes(study: Study) -> Iterator[str]:
    """How to read it, what was derived, and what is missing and why."""
    if study.partial:
        yield "PARTIAL: --limit cut the audited examples."
    yield (
        f"{study.data}, seed {study.seed}; brackets: {study.confidence:.0%} intervals. Δ: this model minus "
        "the standard one on the same examples, paired; ▲ better, ▼ worse. One training run each: another "
        "seed gives other models."
    )
    for metric in study.metrics:
        slices = [
            f"{row.variant}: {cell.slice}"
            for row in study.rows
            if (cell := row.cells[metric]).value is not None and cell.slice
        ]
        if slices and not metric_slice(study, metric):
            yield f"{METRIC_TITLES[metric]}, {'; '.join(slices)}."
    yield from dict.fromkeys(cell.remark for row in study.rows for cell in row.cells.values() if cell.remark)
    yield from study.notes
    for metric in study.rows[0].cells:
        title = METRIC_TITLES[metric]
        reasons: dict[str, list[str]] = {}
        for row in study.rows:
            if row.cells[metric].value is None:
                reasons.setdefault(row.cells[metric].reason or "no reason", []).append(row.variant)
        for reason, variants in reasons.items():
            who = "" if len(variants) == len(study.rows) else f" ({', '.join(variants)})"
            yield f"{title}{who}: {_NONE}, {reason}"


def _mark(cell: Cell) -> str:
    assert cell.change is not None
    if cell.change.low <= 0 <= cell.change.high:
        return ""
    if cell.better == "neither":
        return " ↑" if cell.change.difference > 0 else " ↓"
    return " ▲" if (cell.change.difference > 0) == (cell.better == "higher") else " ▼"


def _number(metric: str, number: float) -> str:
    return percent(number) if in_percent(metric) else decimal(number)


def _signed(metric: str, number: float) -> str:
    """One decimal in percent: differences are not rates, of which the small ones are the news."""
    text = f"{100 * abs(number):.1f}" if in_percent(metric) else f"{abs(number):.3f}"
    return text if float(text) == 0 else f"{'+' if number > 0 else '−'}{text}"
