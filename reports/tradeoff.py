"""A trade-off study as a table for a terminal and for Markdown, and its notes.

A row a metric, a column a variant. Every cell has its interval in brackets and, but for the standard model,
the paired difference to it (Δ) with an interval of its own. A difference whose interval leaves 0 out is
marked: ▲ better, ▼ worse than the standard model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.reports.wording import decimal, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from raiaudit.audit.studies.cells import Cell
    from raiaudit.audit.studies.study import Study

__all__ = [
    "METRIC_TITLES",
    "cell_lines",
    "in_percent",
    "metric_slice",
    "tradeoff_markdown",
    "tradeoff_notes",
    "tradeoff_table",
]

METRIC_TITLES = {
    "clean_accuracy": "Clean accuracy",
    "robust_accuracy": "Robust accuracy",
    "worst_group_accuracy": "Worst-group accuracy",
    "membership_auc": "Membership AUC",
    "membership_tpr": "Membership TPR",
    "epsilon_lower": "ε shown by canaries, at least",
    "epsilon": "ε of the accountant, at most",
}
_PLAIN = ("membership_auc", "epsilon_lower", "epsilon")
_NONE = "–"


def in_percent(metric: str) -> bool:
    """Whether the metric reads in percent."""
    return metric not in _PLAIN


def metric_slice(study: Study, metric: str) -> str:
    """What was measured exactly, where that is the same for all variants."""
    slices = {row.cells[metric].slice for row in study.rows if row.cells[metric].value is not None}
    return slices.pop() if len(slices) == 1 else ""


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


def tradeoff_table(study: Study) -> Table:
    """For a terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 1, 0), header_style="bold")
    table.add_column(Text(""))
    for row in study.rows:
        table.add_column(Text(row.variant))
    for metric in study.metrics:
        title = Text(METRIC_TITLES[metric])
        if told := metric_slice(study, metric):
            title.append(f"\n{told}", style="dim")
        table.add_row(title, *(Text("\n".join(cell_lines(metric, row.cells[metric]))) for row in study.rows))
    return table


def tradeoff_markdown(study: Study) -> str:
    """The same table in Markdown, with its notes."""
    lines = ["| | " + " | ".join(_escaped(row.variant) for row in study.rows) + " |"]
    lines.append("|---|" + "---|" * len(study.rows))
    for metric in study.metrics:
        told = metric_slice(study, metric)
        title = _escaped(METRIC_TITLES[metric] + (f" ({told})" if told else ""))
        cells = ("<br>".join(map(_escaped, cell_lines(metric, row.cells[metric]))) for row in study.rows)
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *(f"- {_escaped(note)}" for note in tradeoff_notes(study)), ""])


def tradeoff_notes(study: Study) -> Iterator[str]:
    """How to read it, what was derived, and what is missing and why."""
    if study.partial:
        yield "PARTIAL: --limit cut the audited examples."
    yield (
        f"{study.data}, seed {study.seed}; brackets: {study.confidence:.0%} intervals. Δ: this model minus "
        "the standard one on the same examples, paired; ▲ better, ▼ worse. One training run each: another "
        "seed gives other models."
    )
    for metric in METRIC_TITLES:
        slices = [
            f"{row.variant}: {cell.slice}"
            for row in study.rows
            if (cell := row.cells[metric]).value is not None and cell.slice
        ]
        if slices and not metric_slice(study, metric):
            yield f"{METRIC_TITLES[metric]}, {'; '.join(slices)}."
    yield from dict.fromkeys(cell.remark for row in study.rows for cell in row.cells.values() if cell.remark)
    yield from study.notes
    for metric, title in METRIC_TITLES.items():
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
    return " ▲" if (cell.change.difference > 0) == (cell.better == "higher") else " ▼"


def _number(metric: str, number: float) -> str:
    return percent(number) if in_percent(metric) else decimal(number)


def _signed(metric: str, number: float) -> str:
    """One decimal in percent: differences are not rates, of which the small ones are the news."""
    text = f"{100 * abs(number):.1f}" if in_percent(metric) else decimal(abs(number))
    return text if float(text) == 0 else f"{'+' if number > 0 else '−'}{text}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
