"""Every group of people that up to six attributes describe, and how to count in all of them at once.

A subgroup is a conjunction of attribute = level ("sex=Female & race=Black"); the lattice holds all of one
attribute up to `depth`. People come as cells, one a combination of levels that occurs. For every set of
attributes each cell has the number of the subgroup it belongs to, so that a margin is one `bincount`.
Left out, and counted: subgroups of two and more attributes with fewer than `min_support` people (their parts
are not looked at); those that hold the same people as a shorter description, or everyone. A level that was
not recorded makes no subgroup.
Shapes: C cells, A attributes, S subgroups, G subgroups of one set of attributes, O outcomes counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from raiaudit.audit.fairness.counting.cells import UNKNOWN, Axis
from raiaudit.audit.fairness.counting.tally import JOINED
from raiaudit.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

__all__ = ["ANY", "MOST_ATTRIBUTES", "Lattice", "require_few"]

MOST_ATTRIBUTES = 6
ANY = -1
"""In the place of a level: the subgroup takes people of all levels."""

_NONE = -1


def require_few(attributes: Sequence[str], *, where: str) -> None:
    """Raises `UsageError` for more attributes than a lattice takes."""
    if len(attributes) > MOST_ATTRIBUTES:
        raise UsageError(
            f"{len(attributes)} attributes are more than the {MOST_ATTRIBUTES} of a lattice",
            where=where,
            remedy=f"choose {MOST_ATTRIBUTES} with `columns`; there are {', '.join(attributes)}",
        )


class _Margin(NamedTuple):
    """`group_C`: which of the G subgroups of one set of attributes each cell is in, −1 if in none."""

    group_C: Integers
    people_G: Integers

    def only(self, kept_G: NDArray[np.bool_]) -> _Margin:
        """Without the others, numbered anew."""
        number_G = np.append(np.where(kept_G, np.cumsum(kept_G) - 1, _NONE), _NONE)
        return _Margin(number_G[self.group_C], self.people_G[kept_G])


@dataclass(frozen=True, slots=True, eq=False)
class Lattice:
    """`levels_SA` are positions in `levels[a]`, or `ANY`; shorter descriptions come first.

    `too_few` and `same_people` count what was left out.
    """

    attributes: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    cells_CA: Integers
    levels_SA: Integers
    people_S: Integers
    too_few: int
    same_people: int
    margins: tuple[_Margin, ...]

    @classmethod
    def of(
        cls, groups: pl.DataFrame, people: Integers, *, depth: int = MOST_ATTRIBUTES, min_support: int = 1
    ) -> Lattice:
        """`groups`: a column of levels (String) an attribute and a row a cell; `people`: how many in each."""
        levels, codes = zip(*(_encoded(groups[name]) for name in groups.columns), strict=True)
        cells_CA = np.stack(codes, axis=1)
        attributes = range(cells_CA.shape[1])
        everyone = _Margin(np.zeros(len(people), dtype=np.int64), people.sum(keepdims=True))
        looked_at: dict[tuple[int, ...], _Margin] = {(): everyone}
        margins, patterns, too_few, same_people = [], [], 0, 0
        for size in range(1, min(depth, len(attributes)) + 1):
            for chosen in combinations(attributes, size):
                parents = [looked_at[chosen[:i] + chosen[i + 1 :]] for i in reversed(range(size))]
                group_C, first_G = _divided(parents, cells_CA[:, chosen[-1]])
                margin = _Margin(group_C, _sums(group_C, people[:, None], len(first_G))[:, 0])
                enough_G = margin.people_G >= min_support
                new_G = np.ones(len(first_G), dtype=bool)
                for parent in parents:
                    new_G &= margin.people_G < parent.people_G[parent.group_C[first_G]]
                kept_G = new_G & (enough_G | (size == 1))
                too_few += int((~enough_G & ~kept_G).sum())
                same_people += int((enough_G & ~new_G).sum())
                looked_at[chosen] = margin.only(enough_G)
                margins.append(margin.only(kept_G))
                pattern_GA = np.full((int(kept_G.sum()), len(attributes)), ANY)
                pattern_GA[:, chosen] = cells_CA[first_G[kept_G]][:, chosen]
                patterns.append(pattern_GA)
        people_S = np.concatenate([margin.people_G for margin in margins])
        levels_SA = np.concatenate(patterns)
        return cls(
            tuple(groups.columns), levels, cells_CA, levels_SA, people_S, too_few, same_people, tuple(margins)
        )

    def __len__(self) -> int:
        return len(self.people_S)

    @property
    def depths(self) -> Integers:
        """How many attributes describe each subgroup."""
        return np.asarray((self.levels_SA != ANY).sum(axis=1))

    def counts(self, counts_CO: Integers) -> Integers:
        """What the cells hold, added up in every subgroup: (S, O)."""
        return np.concatenate([_sums(m.group_C, counts_CO, len(m.people_G)) for m in self.margins])

    def members(self, subgroup: int) -> NDArray[np.bool_]:
        """Which cells are in it: (C,)."""
        wanted_A = self.levels_SA[subgroup]
        named_A = wanted_A != ANY
        return np.asarray((self.cells_CA[:, named_A] == wanted_A[named_A]).all(axis=1))

    def akin(self, subgroup: int, other: int) -> bool:
        """Whether both name a common attribute, at whatever level."""
        return bool(((self.levels_SA[[subgroup, other]] != ANY).all(axis=0)).any())

    def name(self, subgroup: int) -> str:
        """For people: "sex=Female & race=Black"."""
        described = zip(self.attributes, self.levels, self.levels_SA[subgroup], strict=True)
        return JOINED.join(f"{name}={levels[at]}" for name, levels, at in described if at != ANY)


def _encoded(values: pl.Series) -> tuple[tuple[str, ...], Integers]:
    """Levels that were recorded, and the position of each value among them, −1 for one that was not."""
    axis = Axis.of(values.name, values)
    codes_C = axis.codes(values)
    if axis.levels[-1:] != (UNKNOWN,):
        return axis.levels, codes_C
    return axis.levels[:-1], np.where(codes_C == len(axis.levels) - 1, _NONE, codes_C)


def _divided(parents: Sequence[_Margin], level_C: Integers) -> tuple[Integers, Integers]:
    """The subgroups that one more attribute makes of the first of `parents`: group_C, and a cell of each.

    Only of cells that are in a subgroup of every parent.
    """
    inside_C = (level_C >= 0) & np.all([parent.group_C >= 0 for parent in parents], axis=0)
    [cells] = np.nonzero(inside_C)
    key = parents[0].group_C[cells] * (level_C.max(initial=0) + 1) + level_C[cells]
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    group_C = np.full(len(level_C), _NONE)
    group_C[cells] = group
    return group_C, cells[first]


def _sums(group_C: Integers, counts_CO: Integers, groups: int) -> Integers:
    """`counts_CO` added up by group: (groups, O). Exact below 2⁵³."""
    here_C = group_C >= 0
    sums = [np.bincount(group_C[here_C], column_C[here_C], groups) for column_C in counts_CO.T]
    return np.stack(sums, axis=1).astype(np.int64)
