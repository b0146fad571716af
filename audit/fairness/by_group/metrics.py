"""Group metrics as functions of confusion counts: each gives (successes, trials), so that rate = ratio.

Ŷ is the prediction, Y the label, A the group, 1 the positive class. A rate is P(event | condition, A = a);
it is undefined where no example meets the condition. Sources: Hardt, Price and Srebro, arXiv:1610.02413
(equalized odds, equal opportunity); Chouldechova, arXiv:1610.07524 (predictive parity).
Shapes: G groups, K classes; leading axes (bootstrap replicates) pass through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DIFFERENCES", "RATES", "Confusion", "Counts", "Rate", "recalls", "right"]


class Confusion(NamedTuple):
    """Counts of the four outcomes against one positive class; arrays of one shape (…, G)."""

    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    fn: NDArray[np.int64]
    tn: NDArray[np.int64]

    @classmethod
    def of(cls, counts_GKK: NDArray[np.int64], positive: int) -> Confusion:
        """One class against the rest, from counts (…, G, label, predicted)."""
        tp = counts_GKK[..., positive, positive]
        labelled, predicted = counts_GKK[..., positive, :].sum(-1), counts_GKK[..., :, positive].sum(-1)
        total = counts_GKK.sum((-2, -1))
        return cls(tp, predicted - tp, labelled - tp, total - labelled - predicted + tp)


class Counts(NamedTuple):
    """`successes` of `trials`, arrays (…, G)."""

    successes: NDArray[np.int64]
    trials: NDArray[np.int64]


def selection_rate(c: Confusion) -> Counts:
    """P(Ŷ = 1 | A = a) = (TP + FP) / (TP + FP + FN + TN)."""
    return Counts(c.tp + c.fp, c.tp + c.fp + c.fn + c.tn)


def true_positive_rate(c: Confusion) -> Counts:
    """P(Ŷ = 1 | Y = 1, A = a) = TP / (TP + FN)."""
    return Counts(c.tp, c.tp + c.fn)


def false_positive_rate(c: Confusion) -> Counts:
    """P(Ŷ = 1 | Y = 0, A = a) = FP / (FP + TN)."""
    return Counts(c.fp, c.fp + c.tn)


def true_negative_rate(c: Confusion) -> Counts:
    """P(Ŷ = 0 | Y = 0, A = a) = TN / (FP + TN)."""
    return Counts(c.tn, c.fp + c.tn)


def false_negative_rate(c: Confusion) -> Counts:
    """P(Ŷ = 0 | Y = 1, A = a) = FN / (TP + FN)."""
    return Counts(c.fn, c.tp + c.fn)


def positive_predictive_value(c: Confusion) -> Counts:
    """P(Y = 1 | Ŷ = 1, A = a) = TP / (TP + FP)."""
    return Counts(c.tp, c.tp + c.fp)


def negative_predictive_value(c: Confusion) -> Counts:
    """P(Y = 0 | Ŷ = 0, A = a) = TN / (FN + TN)."""
    return Counts(c.tn, c.fn + c.tn)


class Rate(NamedTuple):
    """A metric of the table: its function, which way is better, and what its condition asks for."""

    counts: Callable[[Confusion], Counts]
    better: Literal["higher", "lower", "neither"]
    condition: str


RATES: dict[str, Rate] = {
    "selection_rate": Rate(selection_rate, "neither", "examples"),
    "true_positive_rate": Rate(true_positive_rate, "higher", "examples labelled positive"),
    "false_positive_rate": Rate(false_positive_rate, "lower", "examples labelled negative"),
    "true_negative_rate": Rate(true_negative_rate, "higher", "examples labelled negative"),
    "false_negative_rate": Rate(false_negative_rate, "lower", "examples labelled positive"),
    "positive_predictive_value": Rate(positive_predictive_value, "higher", "examples predicted positive"),
    "negative_predictive_value": Rate(negative_predictive_value, "higher", "examples predicted negative"),
}

DIFFERENCES: dict[str, tuple[str, ...]] = {
    "demographic_parity_difference": ("selection_rate",),
    "equal_opportunity_difference": ("true_positive_rate",),
    "equalized_odds_difference": ("true_positive_rate", "false_positive_rate"),
    "predictive_parity_difference": ("positive_predictive_value",),
}
"""The widest gap between two groups in any of these rates."""


def right(counts_GKK: NDArray[np.int64]) -> Counts:
    """Accuracy: P(Ŷ = Y | A = a), for any number of classes."""
    return Counts(np.trace(counts_GKK, axis1=-2, axis2=-1), counts_GKK.sum((-2, -1)))


def recalls(counts_GKK: NDArray[np.int64]) -> Counts:
    """P(Ŷ = k | Y = k, A = a) for every class k: arrays (…, G, K), whose mean over k is the macro recall."""
    return Counts(np.diagonal(counts_GKK, axis1=-2, axis2=-1), counts_GKK.sum(-1))
