"""Group metrics as functions of confusion counts: each gives (successes, trials), so that rate = ratio.

Ŷ is the prediction, Y the label, A the group, 1 the positive class. A rate is P(event | condition, A = a);
it is undefined where no example meets the condition. Sources: Hardt, Price and Srebro, arXiv:1610.02413
(equalized odds, equal opportunity); Chouldechova, arXiv:1610.07524 (predictive parity); Berk et al.,
arXiv:1703.09207 (treatment equality); Bellamy et al., arXiv:1810.01943 (average odds).
Shapes: G groups, K classes; leading axes (bootstrap replicates) pass through. Counts may be sums of weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "DIFFERENCES",
    "MEANS",
    "RATES",
    "RATIOS",
    "Confusion",
    "Counts",
    "Rate",
    "precisions",
    "recalls",
    "right",
    "selected",
]


class Confusion(NamedTuple):
    """Counts of the four outcomes against one positive class; arrays of one shape (…, G)."""

    tp: NDArray[Any]
    fp: NDArray[Any]
    fn: NDArray[Any]
    tn: NDArray[Any]

    @classmethod
    def of(cls, counts_GKK: NDArray[Any], positive: int) -> Confusion:
        """One class against the rest, from counts (…, G, label, predicted)."""
        tp = counts_GKK[..., positive, positive]
        labelled, predicted = counts_GKK[..., positive, :].sum(-1), counts_GKK[..., :, positive].sum(-1)
        total = counts_GKK.sum((-2, -1))
        return cls(tp, predicted - tp, labelled - tp, total - labelled - predicted + tp)


class Counts(NamedTuple):
    """`successes` of `trials`, arrays (…, G)."""

    successes: NDArray[Any]
    trials: NDArray[Any]


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


def false_discovery_rate(c: Confusion) -> Counts:
    """P(Y = 0 | Ŷ = 1, A = a) = FP / (TP + FP)."""
    return Counts(c.fp, c.tp + c.fp)


def false_omission_rate(c: Confusion) -> Counts:
    """P(Y = 1 | Ŷ = 0, A = a) = FN / (FN + TN)."""
    return Counts(c.fn, c.fn + c.tn)


def false_negative_share(c: Confusion) -> Counts:
    """P(Y = 1 | Ŷ ≠ Y, A = a) = FN / (FN + FP): alike in groups where FN / FP is (treatment equality)."""
    return Counts(c.fn, c.fn + c.fp)


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
    "false_discovery_rate": Rate(false_discovery_rate, "lower", "examples predicted positive"),
    "false_omission_rate": Rate(false_omission_rate, "lower", "examples predicted negative"),
    "false_negative_share": Rate(false_negative_share, "neither", "errors"),
}

MEANS: dict[str, tuple[tuple[str, ...], Literal["higher", "neither"]]] = {
    "balanced_accuracy": (("true_positive_rate", "true_negative_rate"), "higher"),
    "average_odds": (("true_positive_rate", "false_positive_rate"), "neither"),
}
"""Means of rates: (TPR + TNR) / 2, and (TPR + FPR) / 2, of which a gap is the average odds difference."""

DIFFERENCES: dict[str, tuple[str, ...]] = {
    "demographic_parity_difference": ("selection_rate",),
    "equal_opportunity_difference": ("true_positive_rate",),
    "equalized_odds_difference": ("true_positive_rate", "false_positive_rate"),
    "predictive_parity_difference": ("positive_predictive_value",),
    "treatment_equality_difference": ("false_negative_share",),
}
"""The widest gap between two groups in any of these rates."""

RATIOS: dict[str, tuple[str, ...]] = {
    "impact_ratio": ("selection_rate",),
    "equalized_odds_ratio": ("true_positive_rate", "false_positive_rate"),
}
"""Lowest over highest of a rate, the smallest of them. The impact ratio is the ratio of demographic parity
and of the four-fifths rule, 29 CFR 1607.4(D).
"""


def selected(counts_GK: NDArray[Any], positive: int) -> Counts:
    """The selection rate where there are no labels, from counts (…, G, predicted)."""
    return Counts(counts_GK[..., positive], counts_GK.sum(-1))


def right(counts_GKK: NDArray[Any]) -> Counts:
    """Accuracy: P(Ŷ = Y | A = a), for any number of classes."""
    return Counts(np.trace(counts_GKK, axis1=-2, axis2=-1), counts_GKK.sum((-2, -1)))


def precisions(counts_GKK: NDArray[Any]) -> Counts:
    """P(Y = k | Ŷ = k, A = a) for every class k: arrays (…, G, K); their mean is the macro precision."""
    return Counts(np.diagonal(counts_GKK, axis1=-2, axis2=-1), counts_GKK.sum(-2))


def recalls(counts_GKK: NDArray[Any]) -> Counts:
    """P(Ŷ = k | Y = k, A = a) for every class k: arrays (…, G, K), whose mean over k is the macro recall."""
    return Counts(np.diagonal(counts_GKK, axis1=-2, axis2=-1), counts_GKK.sum(-1))
