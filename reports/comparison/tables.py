"""A comparison's tables: who is compared, every quantity, the examples that changed, what was left out.

A table is made of `Block`s: cells are lists of lines, the first the value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from raiaudit.reports.formats.blocks import Block
from raiaudit.reports.words.comparison_words import (
    OUTCOMES,
    change,
    cut,
    group_name,
    names,
    number,
    p_text,
    quantity,
)
from raiaudit.reports.words.wording import check_title, metric_title

if TYPE_CHECKING:
    from raiaudit.audit.comparison.results import Comparison, Delta

__all__ = ["ASIDE", "EXAMPLES", "TableOf", "comparison_tables", "gap_block", "run_block"]

UNPAIRED, CELLS, EXAMPLES = "Unpaired", "Single cells", "Which examples changed"
ASIDE = frozenset({UNPAIRED, CELLS})
"""Tables that are long, and looked up rather than read."""
_ACROSS = 3  # runs beside the reference
_IDS = 24
_UNSET = "–"


class TableOf(NamedTuple):
    """Blocks under one heading, and what to know of them."""

    title: str
    note: str
    blocks: tuple[Block, ...]


def run_block(comparison: Comparison) -> Block:
    """Who is compared."""
    rows = [
        (
            [names(comparison)[place], "the reference" if place == 0 else ""],
            [run.id],
            [run.started[:16].replace("T", " ")],
            [run.verdict.replace("_", " ") + (", partial" if run.partial else "")],
        )
        for place, run in enumerate(comparison.runs)
    ]
    return Block("", ("Model", "Run", "Started (UTC)", "Verdict"), tuple(rows))


def comparison_tables(comparison: Comparison, *, most_cells: int | None = None) -> Iterator[TableOf]:
    """The numbers, most to be relied on first; of single cells that changed at most `most_cells`."""
    level = f"{comparison.confidence:.0%}"
    families = (
        (
            "Paired, example by example",
            f"{level} intervals of the differences on the same examples.",
            comparison.paired,
        ),
        (
            UNPAIRED,
            "Estimates subtracted as if they were independent: intervals and tests are too cautious where "
            "both saw the same examples.",
            comparison.unpaired,
        ),
        ("By group", "Paired, on the examples of one group.", comparison.groups),
    )
    for title, note, deltas in families:
        if deltas:
            yield TableOf(title, f"{note} {_holm(deltas)}", tuple(_blocks(comparison, deltas)))
    decided = [each for each in comparison.slices if each.outcome in ("better", "worse")]
    if comparison.slices:
        decided.sort(key=lambda each: each.p_holm or 0.0)
        quantities = list(dict.fromkeys(each.quantity for each in decided))[:most_cells]
        shown = [each for each in comparison.slices if each.quantity in quantities]
        note = f"{len(decided)} of {len(comparison.slices)} cells changed beyond chance."
        if len(quantities) < len({each.quantity for each in decided}):
            note += f" Shown are the {len(quantities)} with the smallest p-values."
        yield TableOf(CELLS, f"{note} {_holm(comparison.slices)}", tuple(_blocks(comparison, shown)))
    if any(each.fixed or each.broken for each in comparison.changed):
        yield TableOf(EXAMPLES, "", (_changed_block(comparison),))


def _holm(deltas: Sequence[Delta]) -> str:
    tests = sum(each.p is not None for each in deltas)
    return f"P-values are corrected by Holm for the {tests:,} tests of this table."


def _blocks(comparison: Comparison, deltas: Sequence[Delta]) -> Iterator[Block]:
    """Of two runs a row a quantity (and group); of more, the runs beside each other, a few at a time."""
    if len(comparison.runs) == 2:
        reference, run = names(comparison)
        header = ("Quantity", f"{reference} (reference)", run, "Change", "p (Holm)", "Finding")
        yield Block("", header, tuple(_wide(each) for each in deltas))
        return
    rows: dict[tuple[object, ...], dict[int, Delta]] = {}
    for each in deltas:
        rows.setdefault((each.quantity, each.group), {})[each.run] = each
    called = names(comparison)
    for start in range(1, len(called), _ACROSS):
        places = range(start, min(start + _ACROSS, len(called)))
        yield Block(
            "",
            ("Quantity", f"{called[0]} (reference)", *(called[place] for place in places)),
            tuple(
                (
                    _named(next(iter(found.values()))),
                    [number(next(iter(found.values())), next(iter(found.values())).reference)],
                    *(_cell(found.get(place)) for place in places),
                )
                for found in rows.values()
                if any(place in found for place in places)
            ),
        )


def _named(each: Delta) -> list[str]:
    lower = ", lower is better" if each.better == "lower" else ""
    first = quantity(each) if each.group is None else f"{group_name(each)}: {quantity(each)}"
    return [first, f"{cut(check_title(each.check))}, n = {each.n:,}{lower}"]


def _wide(each: Delta) -> tuple[list[str], ...]:
    return (
        _named(each),
        [number(each, each.reference)],
        [number(each, each.value)],
        [change(each), _counts(each)],
        [_UNSET if each.p_holm is None else p_text(each.p_holm).removeprefix("=\u00a0")],
        [OUTCOMES[each.outcome]],
    )


def _counts(each: Delta) -> str:
    return "" if each.fixed is None else f"{each.fixed:,} fixed, {each.broken:,} broken"


def _cell(each: Delta | None) -> list[str]:
    if each is None:
        return [_UNSET]
    lines = [f"{number(each, each.value)}  {OUTCOMES[each.outcome]}", f"Δ {change(each)}"]
    tested = [_counts(each), "" if each.p_holm is None else f"p {p_text(each.p_holm)}"]
    return [*lines, ", ".join(filter(None, tested))]


def _changed_block(comparison: Comparison) -> Block:
    called = names(comparison)
    rows = [
        (
            [called[each.run], quantity(each)],
            [f"{len(each.fixed):,}", _ids(each.fixed)],
            [f"{len(each.broken):,}", _ids(each.broken)],
        )
        for each in comparison.changed
        if each.fixed or each.broken
    ]
    return Block(
        "", ("Run and quantity", "Fixed: right here only", "Broken: right in the reference only"), tuple(rows)
    )


def _ids(ids: Sequence[str]) -> str:
    more = len(ids) - _IDS
    return ", ".join(map(cut, ids[:_IDS])) + (f" and {more:,} more" if more > 0 else "")


def gap_block(comparison: Comparison) -> Block | None:
    """What was not compared, and why; None where all was."""
    called = names(comparison)
    rows = tuple(
        (
            [", ".join(cut(metric_title(metric)) for metric in gap.metrics), cut(check_title(gap.check))],
            [called[gap.run]],
            [cut(gap.reason)],
        )
        for gap in comparison.not_compared
    )
    return Block("", ("Quantities", "Run", "Why not"), rows) if rows else None
