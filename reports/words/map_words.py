"""An attribution map in words, for those who cannot see it: where relevance lies and which way it speaks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from raiaudit.reports.pictures.examples import plane

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Weight", "map_in_words", "signed", "weights_in_words", "weights_of"]

Weight = tuple[str, float]  # a feature's name and its weight in [-1, 1]: a share of the largest
_ROWS, _COLUMNS = ("upper", "middle", "lower"), ("left", "centre", "right")
_NAMED = 3
_TOP = 8
_LONG = 60  # characters


def map_in_words(row: Mapping[str, Any]) -> str:
    """Of a map over pixels: "37 % of it in the upper left, …; 81 % speaks for the prediction"."""
    weights = plane(row["map"], row["shape"])
    if weights is None:
        return ""
    total = float(np.abs(weights).sum())
    if total == 0:
        return "The map is zero everywhere: it says nothing."
    shares = {}
    for r, rows in enumerate(np.array_split(np.abs(weights), 3, axis=0)):
        for c, part in enumerate(np.array_split(rows, 3, axis=1)):
            place = f"{_ROWS[r]} {_COLUMNS[c]}" if (r, c) != (1, 1) else "middle"
            shares[place] = float(part.sum()) / total
    most = sorted(shares, key=lambda place: -shares[place])[:_NAMED]
    where = ", ".join(f"{shares[place]:.0%} in the {place}" for place in most)
    if weights.min() >= 0:
        return f"Of the relevance {where}; this map says where, not which way."
    speaks_for = float(weights[weights > 0].sum()) / total
    return f"Of the relevance {where}; {speaks_for:.0%} of it speaks for the prediction."


def weights_of(row: Mapping[str, Any]) -> list[Weight]:
    """The named features of a text or a table's row, in their order, with weights relative to the largest."""
    weights = [weight if math.isfinite(weight) else 0.0 for weight in row["map"]]
    peak = max((abs(weight) for weight in weights), default=0.0) or 1.0
    pairs = zip(row["features"], weights, strict=False)
    return [(_readable(name), weight / peak) for name, weight in pairs]


def _readable(name: str) -> str:
    """A blank as its sign, a piece that continues a word with a hyphen, and no name so long that it hides the
    others.
    """
    if not name.strip():
        return "␣"
    if name.startswith("##") and len(name) > 2:
        name = f"-{name[2:]}"
    return name if len(name) <= _LONG else f"{name[:_LONG]}…"


def weights_in_words(weights: Sequence[Weight]) -> str:
    """The largest by size, with signs: "most weight: age +100 %, sex −40 %"."""
    most = sorted(weights, key=lambda pair: -abs(pair[1]))[:_TOP]
    return "Most weight: " + ", ".join(f"{name} {signed(weight)}" for name, weight in most if weight) + "."


def signed(weight: float) -> str:
    """`+100 %`, `−3 %`: the sign is a character, so that no colour is needed; `0 %` has none."""
    whole = round(100 * abs(weight))
    return f"{('−' if weight < 0 else '+') if whole else ''}{whole}\u00a0%"
