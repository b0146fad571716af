"""What `raiaudit fairness` shows: groups with their rates, differences with their tests, all measurements.

One structure of plain text, for the terminal, for Markdown and for CSV. Names of columns and groups come from
outside: the terminal gets them as text without markup or control characters, Markdown escaped, and a CSV cell
that a spreadsheet would take for a formula with an apostrophe before it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

from raiaudit.models.markdown import escape, flat
from raiaudit.reports.content.report import summary_sentence
from raiaudit.reports.theme import VERDICTS
from raiaudit.reports.words.wording import (
    check_title,
    in_percent,
    interval,
    metric_title,
    quantity,
    slice_text,
    value,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.results import Results

__all__ = ["GroupTable", "group_tables", "harmless", "measurements_csv", "tables_markdown", "terminal_tables"]

_CHECK = "fairness.groups"
_RATES = {
    "selection_rate": "selected",
    "true_positive_rate": "TPR",
    "false_positive_rate": "FPR",
    "positive_predictive_value": "PPV",
    "accuracy": "accuracy",
    "macro_recall": "macro recall",
    "auc": "AUC",
}
_STARS = "* not compared: too few examples of what the rate is of, or the group is not recorded"
_GROUPS_SHOWN = 40
_LINES_SHOWN = 12
_BESIDE_RATES, _RATE = 34, 18
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Cell(NamedTuple):
    """A value, starred where it is not compared, and its interval; empty where there is none."""

    value: str
    interval: str


class GroupTable(NamedTuple):
    """One attribute. `rates` are titles of columns, `groups` rows of (group, n, cells), the largest first;
    `differences` rows of (what, value and interval, p-value, remark); `omitted` groups are not shown;
    `starred` if a cell is not compared.
    """

    attribute: str
    rates: list[str]
    groups: list[tuple[str, int, list[Cell]]]
    differences: list[tuple[str, str, str, str]]
    omitted: int
    starred: bool


def group_tables(results: Results) -> list[GroupTable]:
    """A table an attribute, of what `fairness.groups` measured."""
    return [_table(results, attribute, sizes) for attribute, sizes in results.data.groups.items()]


def _table(results: Results, attribute: str, sizes: dict[str, int]) -> GroupTable:
    own = [m for m in results.measurements if m.check == _CHECK and m.where.get("attribute") == attribute]
    by_group = {(m.metric, str(m.where["group"])): m for m in own if set(m.where) == {"attribute", "group"}}
    rates = [metric for metric in _RATES if any(name == metric for name, _ in by_group)]
    order = sorted(sizes, key=lambda group: -sizes[group])
    rows = [
        (group, sizes[group], [_cell(by_group.get((metric, group))) for metric in rates])
        for group in order[:_GROUPS_SHOWN]
    ]
    titles = [_RATES[metric] + (" %" if in_percent(metric) else "") for metric in rates]
    whole = {m.metric: m for m in own if set(m.where) == {"attribute"}}
    tests = {name for name in whole if name.endswith("_p_value")}
    starred = any(m.reason and m.value is not None for m in by_group.values())
    differences = [
        (
            metric_title(name),
            quantity(m),
            _p_value(whole, name),
            _extremes(m, sizes),
        )
        for name, m in whole.items()
        if name not in tests
    ]
    return GroupTable(attribute, titles, rows, differences, max(0, len(order) - _GROUPS_SHOWN), starred)


def _extremes(m: Measurement, groups: Collection[str]) -> str:
    """Which groups are the extremes; which were left out of it, and why, the stars and the run say."""
    reason = m.reason or ""
    ends = (f"; {len(groups)} groups, ", *(f" ({group}: " for group in groups))
    cuts = [cut for end in ends if (cut := reason.find(end)) > 0]
    return "" if m.value is None else reason[: min(cuts, default=None)]


def _cell(m: Measurement | None) -> Cell:
    if m is None:
        return Cell("–", "")
    if m.value is None:
        return Cell("undef.", "")
    return Cell(value(m).removesuffix(" %") + ("*" if m.reason else ""), interval(m))


def _p_value(whole: dict[str, Measurement], name: str) -> str:
    test = whole.get(f"{name.removesuffix('_difference')}_p_value") or whole.get(f"{name}_p_value")
    return "" if test is None or test.value is None else value(test)


def _others(results: Results) -> list[tuple[str, list[tuple[str, str, str]], int]]:
    """Every further check: its title, rows of (what and where, value and interval, remark), rows left out."""
    found: list[tuple[str, list[tuple[str, str, str]], int]] = []
    for outcome in results.checks:
        measured = [m for m in results.measurements if m.check == outcome.check]
        if outcome.check == _CHECK:
            continue
        if outcome.status != "ran":
            found.append(
                (
                    check_title(outcome.check),
                    [(outcome.status.replace("_", " "), outcome.reason or "", "")],
                    0,
                )
            )
            continue
        measured.sort(key=lambda m: "group" in m.where)  # what is said of all groups comes first
        rows = [
            (_named(m), quantity(m), "" if m.value is None else m.reason or "")
            for m in measured[:_LINES_SHOWN]
        ]
        found.append((check_title(outcome.check), rows, len(measured) - len(rows)))
    return found


def _named(m: Measurement) -> str:
    where = slice_text(m.where)
    return metric_title(m.metric) + (f" ({where})" if where else "")


def terminal_tables(results: Results, width: int) -> list[RenderableType]:
    """What a terminal of that width shows; intervals go below their values where it is narrow."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    shown: list[RenderableType] = []
    for table in group_tables(results):
        between = " " if width >= _BESIDE_RATES + _RATE * len(table.rates) else "\n"
        rates = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
        rates.add_column(Text(flat(table.attribute)), overflow="fold", max_width=32)
        for title in ("n", *table.rates):
            rates.add_column(title, justify="right")
        for group, n, cells in table.groups:
            texts = [Text(between.join(filter(None, cell))) for cell in cells]
            rates.add_row(Text(flat(group)), f"{n:,}", *texts)
        shown.append(rates)
        if table.omitted:
            shown.append(Text(f"and {table.omitted:,} smaller groups: see --csv or the run", style="dim"))
        if table.starred:
            shown.append(Text(_STARS, style="dim"))
        gaps = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for title in ("between groups", "value and interval", "p", ""):
            gaps.add_column(title, overflow="fold")
        for what, measured, p_value, remark in table.differences:
            gaps.add_row(Text(what), Text(flat(measured)), p_value, Text(flat(remark), style="dim"))
        shown.append(gaps)
    for title, rows, more in _others(results):
        lines = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for heading in (title, "value and interval", ""):
            lines.add_column(heading, overflow="fold")
        for what, measured, remark in rows:
            lines.add_row(Text(flat(what)), Text(flat(measured)), Text(flat(remark), style="dim"))
        shown.append(lines)
        if more:
            shown.append(Text(f"and {more:,} more: see --csv or the run", style="dim"))
    return shown


def tables_markdown(results: Results) -> str:
    """The same in GitHub's Markdown, with the verdict and what the file does not say."""
    word = VERDICTS[results.verdict].word
    lines = [f"## {escape(results.subject.name)}: {word}", "", summary_sentence(results), ""]
    for limit in results.subject.record.loaded.limits if results.subject.record.loaded else ():
        lines += [escape(limit), ""]
    for table in group_tables(results):
        lines += [f"### {escape(table.attribute)}", ""]
        lines += [f"| group | n | {' | '.join(table.rates)} |", "|---|---:|" + "---:|" * len(table.rates)]
        for group, n, cells in table.groups:
            texts = [" ".join(filter(None, cell)) for cell in cells]
            lines.append(f"| {escape(group)} | {n:,} | {' | '.join(map(escape, texts))} |")
        if table.omitted:
            lines += ["", f"{table.omitted:,} smaller groups are not shown."]
        if table.starred:
            lines += ["", escape(_STARS)]
        lines += ["", "| between groups | value and interval | p | remark |", "|---|---:|---:|---|"]
        for row in table.differences:
            lines.append("| " + " | ".join(escape(cell) for cell in row) + " |")
        lines.append("")
    for title, rows, more in _others(results):
        lines += [f"### {escape(title)}", "", "| quantity | value and interval | remark |", "|---|---:|---|"]
        lines += ["| " + " | ".join(escape(cell) for cell in cells) + " |" for cells in rows]
        lines += ["", *([f"{more:,} more measurements are in the run.", ""] if more else [])]
    return "\n".join(lines) + "\n"


def measurements_csv(results: Results) -> str:
    """Every measurement of every check, a row each; undefined values are empty, with the reason."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    own = ("attribute", "group", "reference")
    write(("check", "metric", *own, "slice", *_NUMBERS, "n", "method", "reason"))
    for m in results.measurements:
        rest = {key: item for key, item in m.where.items() if key not in own}
        place = [str(m.where.get(key, "")) for key in own]
        texts = [harmless(text) for text in (m.check, m.metric, *place, slice_text(rest))]
        numbers = ["" if number is None else repr(number) for number in (m.value, m.low, m.high)]
        write((*texts, *numbers, m.confidence, m.n, m.method, harmless(m.reason or "")))
    return out.getvalue()


_NUMBERS = ("value", "low", "high", "confidence")


def harmless(text: str) -> str:
    """A text on one line that no spreadsheet takes for a formula."""
    line = (
        flat(text)
        if text.isprintable()
        else "".join(c if c.isprintable() else f"[U+{ord(c):04X}]" for c in text)
    )
    return f"'{line}" if text.startswith(_FORMULA) else line
