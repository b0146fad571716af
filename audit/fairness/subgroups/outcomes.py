"""What happened to the people of a tally, in two random halves: one to search, one to confirm.

A cell holds people of one combination of levels; its counts are those of a confusion matrix and of right
answers. Each person goes to either half by a fair coin. People of one row of the tally (same groups, label
and prediction) are alike to every metric here, so all that matters is how many of its n go to the first half,
and that is Binomial(n, ½): the halves are distributed exactly as if the rows of a file had been dealt out one
by one. They share nobody, so that what is chosen in the one is judged by the other without bias. (Halving
each row of the tally evenly would not do: the halves would be copies, and confirm each other's accidents.)
Shapes: C cells, O outcomes, M metrics; leading axes pass through.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
import polars as pl

from raiaudit.audit.fairness.by_group.metrics import RATES, Confusion, Counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.fairness.counting.tally import Tally

    Integers = NDArray[np.int64]

__all__ = ["ASKED", "BETTER", "Halves", "MetricName", "answerable", "halves_of", "rates"]

MetricName = Literal[
    "accuracy",
    "selection_rate",
    "true_positive_rate",
    "false_positive_rate",
    "true_negative_rate",
    "false_negative_rate",
    "positive_predictive_value",
    "negative_predictive_value",
]

BETTER: dict[str, Literal["higher", "lower", "neither"]] = {
    "accuracy": "higher",
    **{metric: rate.better for metric, rate in RATES.items() if metric in get_args(MetricName)},
}
ASKED: tuple[MetricName, ...] = (
    "accuracy",
    "selection_rate",
    "true_positive_rate",
    "false_positive_rate",
    "positive_predictive_value",
    "negative_predictive_value",
)
"""Without the complements of the true and false positive rate, which say the same again."""

_OUTCOMES = ("tp", "fp", "fn", "tn", "right")


class Halves(NamedTuple):
    """`groups` has a column an attribute and a row a cell; `search_CO` and `confirm_CO` its outcomes."""

    groups: pl.DataFrame
    search_CO: Integers
    confirm_CO: Integers

    @property
    def everyone(self) -> Integers:
        """Everyone."""
        return self.search_CO + self.confirm_CO


def answerable(tally: Tally, metrics: Sequence[str]) -> tuple[str, ...]:
    """Which of `metrics` the tally can answer: without labels and without a positive class few are left."""
    if not tally.labelled:
        known = {"selection_rate"} if tally.positive is not None else set()
    else:
        known = {"accuracy"} if tally.positive is None else set(BETTER)
    return tuple(metric for metric in metrics if metric in known)


def halves_of(tally: Tally, attributes: Sequence[str], rng: np.random.Generator) -> Halves:
    """The people of a tally by these of its attributes.

    Without labels nobody is labelled positive; without a positive class nobody is predicted so, either.
    """
    label, predicted = pl.col("label"), pl.col("predicted")
    is_positive = pl.lit(-1 if tally.positive is None else tally.positive)
    labelled, selected = (label == is_positive).fill_null(value=False), predicted == is_positive
    members = {
        "tp": labelled & selected,
        "fp": ~labelled & selected,
        "fn": labelled & ~selected,
        "tn": ~labelled & ~selected,
        "right": (label == predicted).fill_null(value=False),
    }
    first = pl.Series("search", rng.binomial(tally.table["n"].to_numpy(), 0.5))
    dealt = tally.table.with_columns(first).with_columns(confirm=pl.col("n") - pl.col("search"))
    sums = [
        (pl.col(half) * members[outcome]).sum().alias(f"{half}.{outcome}")
        for half in ("search", "confirm")
        for outcome in _OUTCOMES
    ]
    cells = dealt.group_by(*attributes).agg(sums).sort(*attributes)
    search, confirm = (
        cells.select(f"{half}.{outcome}" for outcome in _OUTCOMES).to_numpy().astype(np.int64)
        for half in ("search", "confirm")
    )
    return Halves(cells.select(attributes), search, confirm)


def rates(counts_O: Integers, metrics: Sequence[str]) -> Counts:
    """Successes and trials of every metric, (…, M), from outcomes (…, O)."""
    confusion = Confusion(*(counts_O[..., at] for at in range(4)))
    everyone = confusion.tp + confusion.fp + confusion.fn + confusion.tn
    found = [
        Counts(counts_O[..., 4], everyone) if metric == "accuracy" else RATES[metric].counts(confusion)
        for metric in metrics
    ]
    return Counts(
        np.stack([counts.successes for counts in found], axis=-1),
        np.stack([counts.trials for counts in found], axis=-1),
    )
