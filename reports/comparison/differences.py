"""What runs differ in besides their results, as tables: a topic a block, a field a row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from raiaudit.reports.formats.blocks import Block
from raiaudit.reports.words.comparison_words import cut, names

if TYPE_CHECKING:
    from raiaudit.audit.comparison.results import Comparison, Difference

__all__ = ["TOPICS", "difference_blocks"]

TOPICS = {
    "data": "Data",
    "seed": "Seed",
    "code": "Code and versions",
    "model": "Model and recipe",
    "checks": "Checks and gates",
    "spec": "Elsewhere in the spec",
}
_ACROSS = 4  # runs
_UNSET = "–"
_LONG_NUMBER = re.compile(r"-?\d+\.\d{10,}")


def difference_blocks(comparison: Comparison) -> Iterator[Block]:
    """What the runs differ in besides their results, a topic a block; a few runs at a time."""
    called = names(comparison)
    for topic, title in TOPICS.items():
        found = _folded([each for each in comparison.differences if each.topic == topic])
        for start in range(0, len(called) if found else 0, _ACROSS):
            places = range(start, min(start + _ACROSS, len(called)))
            yield Block(
                title,
                ("Field", *(called[place] for place in places)),
                tuple(([cut(each.key)], *([_fact(each, place)] for place in places)) for each in found),
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
    return f"{float(flat):.9g}" if _LONG_NUMBER.fullmatch(flat) else cut(flat)
