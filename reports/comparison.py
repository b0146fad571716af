"""A comparison in words and tables: what terminal, page, HTML and PDF show.

Every table is a `Block`: cells are lists of lines, the first the value. Differences are in the unit of the
value, shares in percentage points. What the runs differ in stands before any number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from raiaudit.audit.comparison.changes import LEAST_OF_GROUP
from raiaudit.reports.studies import Block
from raiaudit.reports.wording import check_title, decimal, in_percent, metric_title, percent, slice_text

if TYPE_CHECKING:
    from raiaudit.audit.comparison.results import Changed, Comparison, Delta, Difference, Outcome

__all__ = [
    "ASIDE",
    "EXAMPLES",
    "OUTCOMES",
    "TOPICS",
    "comparison_tables",
    "comparison_title",
    "difference_blocks",
    "findings",
    "gap_block",
    "names",
    "number",
    "quantity",
    "reading_notes",
    "run_block",
    "signed",
]

OUTCOMES: dict[Outcome, str] = {
    "better": "▲ better",
    "worse": "▼ worse",
    "undecided": "○ no clear change",
    "unchanged": "= unchanged",
    "unjudged": "not judged: no interval",
}
TOPICS = {
    "data": "Data",
    "seed": "Seed",
    "code": "Code and versions",
    "model": "Model and recipe",
    "checks": "Checks and gates",
    "spec": "Elsewhere in the spec",
}
UNPAIRED, CELLS, EXAMPLES = "Unpaired", "Single cells", "Which examples changed"
ASIDE = frozenset({UNPAIRED, CELLS})
"""Tables that are long, and looked up rather than read."""
_ACROSS = 3  # runs beside the reference
_LONGEST = 160
_IDS = 24
_UNSET = "–"


class TableOf(NamedTuple):
    """Blocks under one heading, and what to know of them."""

    title: str
    note: str
    blocks: tuple[Block, ...]


def names(comparison: Comparison) -> list[str]:
    """What the runs are called, the reference first."""
    return [_cut(run.name) for run in comparison.runs]


def comparison_title(comparison: Comparison) -> str:
    """ "digits-vit against digits-cnn on digits"."""
    reference, *others = names(comparison)
    who = others[0] if len(others) == 1 else f"{len(others)} runs"
    partial = " (PARTIAL)" if any(run.partial for run in comparison.runs) else ""
    return f"{who} against {reference} on {_cut(comparison.data)}{partial}"


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


def difference_blocks(comparison: Comparison) -> Iterator[Block]:
    """What the runs differ in besides their results, a topic a block; a few runs at a time."""
    called = names(comparison)
    for topic, title in TOPICS.items():
        found = _folded([each for each in comparison.differences if each.topic == topic])
        for start in range(0, len(called) if found else 0, _ACROSS + 1):
            places = range(start, min(start + _ACROSS + 1, len(called)))
            yield Block(
                title,
                ("Field", *(called[place] for place in places)),
                tuple(([_cut(each.key)], *([_fact(each, place)] for place in places)) for each in found),
            )


def _folded(found: Sequence[Difference]) -> list[Difference]:
    """A part of the spec that some runs lack altogether is one row, not one a field."""
    parts: dict[tuple[str, ...], list[Difference]] = {}
    for each in found:
        parent = each.key.rpartition(".")[0] if "]" not in each.key else each.key.partition("]")[0] + "]"
        absent = tuple(str(place) for place, value in enumerate(each.values) if value is None)
        present = {value for value in each.values if value is not None}
        alone = () if absent and parent and len(present) == 1 else (each.key,)
        parts.setdefault((parent, *absent, "|", *alone), []).append(each)
    folded = []
    for (parent, *_), members in parts.items():
        if len(members) < 3:
            folded += members
            continue
        told = [(each.key.removeprefix(parent).lstrip(".").removeprefix("with."), each) for each in members]
        values = tuple(
            None
            if members[0].values[place] is None
            else ", ".join(f"{key} {_fact(each, place)}" for key, each in told if each.values[place] != "[]")
            for place in range(len(members[0].values))
        )
        folded.append(members[0].model_copy(update={"key": parent, "values": values}))
    return folded


def _fact(each: Difference, place: int) -> str:
    value = each.values[place]
    if value is None:
        return _UNSET
    flat = " ".join(value.split())
    if len(flat) in (40, 64) and all(c in "0123456789abcdef" for c in flat):
        return f"{flat[:12]}…"
    return _cut(flat)


def findings(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """What to read first of each run: (its name, a sentence)."""
    reference = names(comparison)[0]
    for place, name in enumerate(names(comparison)[1:], start=1):
        deltas = [each for each in comparison.paired if each.run == place]
        if not deltas:
            yield name, f"shares no quantity with {reference} that could be paired."
            continue
        yield name, _counted(deltas, reference)
        for outcome in ("worse", "better"):
            told = [f"{quantity(each)} {_change(each)}" for each in deltas if each.outcome == outcome]
            if told:
                yield name, f"{outcome.capitalize()}: {'; '.join(told)}."
        yield from ((name, line) for line in _groups_told(comparison, place, deltas))


def _counted(deltas: Sequence[Delta], reference: str) -> str:
    counts = {outcome: sum(each.outcome == outcome for each in deltas) for outcome in OUTCOMES}
    rest = len(deltas) - counts["better"] - counts["worse"]
    return (
        f"Of {len(deltas)} quantities paired with {reference}, {counts['better']} are better, "
        f"{counts['worse']} worse, {rest} without a clear change."
    )


def _groups_told(comparison: Comparison, place: int, deltas: Sequence[Delta]) -> Iterator[str]:
    """Which groups fare worse, beside what holds on average."""
    of_run = [each for each in comparison.groups if each.run == place]
    if not of_run:
        return
    worse = [each for each in of_run if each.outcome == "worse"]
    for whole in deltas:
        hurt = [each for each in worse if each.quantity == whole.quantity]
        if not hurt:
            continue
        told = "; ".join(f"{_group(each)} {_change(each)} (n = {each.n:,})" for each in hurt)
        lead = {
            "better": f"{quantity(whole)} is better on average, but worse for",
            "worse": f"{quantity(whole)} is worse, and clearly so for",
        }.get(whole.outcome, f"{quantity(whole)} shows no clear change on average, but is worse for")
        yield f"{lead} {told}."
    if not worse:
        yield f"No group of {LEAST_OF_GROUP} examples or more is clearly worse off."


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
    first = quantity(each) if each.group is None else f"{_group(each)}: {quantity(each)}"
    return [first, f"{_cut(check_title(each.check))}, n = {each.n:,}{lower}"]


def _wide(each: Delta) -> tuple[list[str], ...]:
    return (
        _named(each),
        [number(each, each.reference)],
        [number(each, each.value)],
        [_change(each), _counts(each)],
        [_UNSET if each.p_holm is None else p_text(each.p_holm).removeprefix("=\u00a0")],
        [OUTCOMES[each.outcome]],
    )


def _counts(each: Delta) -> str:
    return "" if each.fixed is None else f"{each.fixed:,} fixed, {each.broken:,} broken"


def _cell(each: Delta | None) -> list[str]:
    if each is None:
        return [_UNSET]
    lines = [f"{number(each, each.value)}  {OUTCOMES[each.outcome]}", f"Δ {_change(each)}"]
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
    return ", ".join(map(_cut, ids[:_IDS])) + (f" and {more:,} more" if more > 0 else "")


def gap_block(comparison: Comparison) -> Block | None:
    """What was not compared, and why; None where all was."""
    called = names(comparison)
    rows = tuple(
        (
            [", ".join(_cut(metric_title(metric)) for metric in gap.metrics), _cut(check_title(gap.check))],
            [called[gap.run]],
            [_cut(gap.reason)],
        )
        for gap in comparison.not_compared
    )
    return Block("", ("Quantities", "Run", "Why not"), rows) if rows else None


def reading_notes(comparison: Comparison) -> Iterator[str]:
    """How to read it, and what it does not say."""
    reference, level = names(comparison)[0], 1 - comparison.confidence
    yield (
        f"Δ: the run minus {reference}, the reference; shares in percentage points. Better and worse are "
        f"said where the corrected p-value is at most {level:.2g}; intervals are not corrected."
    )
    yield "No clear change does not mean no change."
    yield (
        "Yes/no quantities: Bonett and Price's interval, exact McNemar test. Other means: bootstrap of the "
        "examples' differences, sign-flip test. AUCs: DeLong. Unpaired: MOVER."
    )
    yield (
        "One training run each: the intervals are over examples. Another seed gives another model; to "
        "compare recipes, train several seeds: raiaudit models compare."
    )


def quantity(each: Delta | Changed) -> str:
    """ "Robust accuracy (norm = linf, ε = 0.15, attack = pgd)"."""
    told = slice_text(each.where)
    return _cut(metric_title(each.metric) + (f" ({told})" if told else ""))


def number(each: Delta, value: float) -> str:
    """A value of the quantity in its unit."""
    if in_percent(each.metric, each.unit):
        return f"{percent(value)} %"
    return f"{decimal(value)} {each.unit}".rstrip()


def signed(each: Delta, value: float) -> str:
    """A difference: "+1.2", "−0.031"; shares in percentage points."""
    text = f"{100 * abs(value):.1f}" if in_percent(each.metric, each.unit) else decimal(abs(value))
    return text if float(text.replace("\u202f", "")) == 0 else f"{'+' if value > 0 else '−'}{text}"


def p_text(p: float) -> str:
    """ "< 0.001", "= 0.021"."""
    return "<\u00a00.001" if p < 1e-3 else f"=\u00a0{p:.2g}" if p < 0.0995 else f"=\u00a0{p:.2f}"


def _change(each: Delta) -> str:
    points = " points" if in_percent(each.metric, each.unit) else ""
    text = f"{signed(each, each.difference)}{points}"
    if each.low is None or each.high is None:
        return text
    return f"{text} [{signed(each, each.low)}, {signed(each, each.high)}]"


def _group(each: Delta) -> str:
    assert each.group is not None
    return _cut(" = ".join(each.group))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
