"""The examples whose membership is in question, those nobody trains on, and who learns from which.

Shapes: P points of the pool (half members, half not), M shadow models, keep_MP true where a shadow trains on
a point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.errors import CapabilityError
from raiaudit.models.data.dataset import Split
from raiaudit.models.data.dataset import joined as joined_inputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.subject import Subject

__all__ = ["Pool", "joined", "keep_matrix", "pool_of", "training_rows", "why_no_pool"]


@dataclass(frozen=True, slots=True)
class Pool:
    """`points` with `member_P`; `rest`: the rows the target trained on that are not in the pool;
    `population`: rows that neither the target nor any shadow trains on, and that are not in the pool.
    """

    points: Split
    member_P: NDArray[np.bool_]
    rest: Split
    population: Split

    def shadow_rows(self, keep_P: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The rows a shadow learns from, of `points` followed by `rest`."""
        rest = np.arange(len(self.points), len(self.points) + len(self.rest))
        return np.concatenate([np.flatnonzero(keep_P), rest])


def pool_of(subject: Subject, size: int, population: int = 0) -> Pool:
    """At most `size` members and as many non-members, drawn by the audit's seed.

    Members are rows the target really trained on, non-members come from the validation and test splits.
    The population is drawn first, from at most half of the validation split, so that it is disjoint from
    the pool. Raises `CapabilityError` when the record shows that the target trained on other rows.
    """
    trained = training_rows(subject)
    validation, test = subject.dataset.splits["validation"], subject.dataset.splits["test"]
    order = keyed_rng(subject.seed, "membership", "population").permutation(len(validation))
    reserved = np.sort(order[: min(population, len(validation) // 2)])
    unseen = joined(validation.take(np.setdiff1d(np.arange(len(validation)), reserved)), test)
    count = min(size, len(trained), len(unseen))
    rng = keyed_rng(subject.seed, "membership", "pool")
    chosen = np.sort(rng.permutation(len(trained))[:count])
    members = trained.take(chosen)
    others = unseen.take(np.sort(rng.permutation(len(unseen))[:count]))
    rest = trained.take(np.setdiff1d(np.arange(len(trained)), chosen))
    points = joined(members, others)
    return Pool(points, np.arange(2 * count) < count, rest, validation.take(reserved))


def why_no_pool(subject: Subject) -> str:
    """Why no pool can be drawn: fewer than two examples on a side; "" if one can.

    Raises `CapabilityError` when the record shows that the target trained on other rows.
    """
    splits = subject.dataset.splits
    unseen = len(splits["validation"]) + len(splits["test"])
    for side, count in (("members", len(training_rows(subject))), ("non-members", unseen)):
        if count < 2:
            return f"the data set has {count} {side}, at least 2 are needed"
    return ""


def keep_matrix(shadows: int, points: int, seed: int) -> NDArray[np.bool_]:
    """M×P bits; each point is in exactly half of the shadows, each shadow holds half of the points.

    Shadows come in pairs that split the pool between them (M must be even, P even for equal halves).
    """
    assert shadows % 2 == 0
    rows = []
    for pair in range(shadows // 2):
        order = keyed_rng(seed, "membership", "keep", pair).permutation(points)
        first = order < points // 2
        rows += [first, ~first]
    return np.array(rows)


def joined(first: Split, second: Split) -> Split:
    """The rows of two splits of one data set, one after the other."""
    inputs = joined_inputs(first.inputs, second.inputs)
    groups = pl.concat([first.groups, second.groups]) if first.groups.width else first.groups
    return Split(
        pl.concat([first.ids, second.ids]), inputs, np.concatenate([first.labels, second.labels]), groups
    )


def training_rows(subject: Subject) -> Split:
    """What the target was trained on. Raises `CapabilityError` when its record says otherwise."""
    split, recipe = subject.dataset.splits["train"], subject.record.recipe
    if recipe is not None and recipe.train_limit is not None:
        split = split.take(slice(0, recipe.train_limit))
    said = subject.record.metrics.get("training_examples")
    if said is not None and said != len(split):
        raise CapabilityError(
            f"the model was trained on {said:.0f} rows, its recipe and data give {len(split)}: "
            "who is a member is not known",
            where=subject.name,
            remedy="train the model again from its recipe on this data set",
        )
    return split
