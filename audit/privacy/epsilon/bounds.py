"""ε lower bounds from the errors of a membership test, over trials that are independent of each other.

Of any (ε, δ)-DP mechanism every test obeys TPR ≤ e^ε·FPR + δ and TNR ≤ e^ε·FNR + δ (Kairouz et al.,
arXiv:1311.0776). With Clopper–Pearson bounds, each rate at half of the error that is allowed,
    ε ≥ max(ln((TPR_low − δ)/FPR_high), ln((TNR_low − δ)/FNR_high))
at the joint confidence (Nasr et al., arXiv:2101.04535). Trials must be independent: one trained
model a trial. The canaries of one training run are not; for them there is `one_run.py`.

A threshold that was chosen on the scores it is judged on breaks the bound. `epsilon_by_split` chooses it on
one half of the trials and judges it on the other; `epsilon_by_grid` tries thresholds that were fixed before
any score was seen, and pays for each of them (Bonferroni).

Shapes: in_M and out_N scores of trials with and without the example, larger means "more likely a member".
Errors: `ValueError` for counts, δ or confidences that cannot be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaincinv

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Scores = NDArray[np.float64]

__all__ = ["epsilon_by_grid", "epsilon_by_split", "epsilon_lower", "power_cap"]


def epsilon_lower(
    true_positives: ArrayLike,
    n_in: int,
    false_positives: ArrayLike,
    n_out: int,
    *,
    delta: float = 0.0,
    confidence: float = 0.95,
) -> NDArray[np.float64]:
    """ε_LB ≥ 0 of each pair of counts; 0 where they show nothing."""
    tp, fp = np.asarray(true_positives, dtype=np.int64), np.asarray(false_positives, dtype=np.int64)
    if not (0 <= delta < 1 and 0 < confidence < 1):
        raise ValueError(f"δ = {delta} and confidence {confidence} are not a probability and a level")
    if n_in < 1 or n_out < 1 or tp.min() < 0 or fp.min() < 0 or tp.max() > n_in or fp.max() > n_out:
        raise ValueError(f"counts beyond the {n_in} and {n_out} trials there were")
    tail = (1 - confidence) / 2
    tpr_low = _low(tp, n_in, tail)
    fpr_high = 1 - _low(n_out - fp, n_out, tail)
    hits = np.maximum(tpr_low - delta, 0) / fpr_high
    rejections = np.maximum(1 - fpr_high - delta, 0) / (1 - tpr_low)
    return np.log(np.maximum(np.maximum(hits, rejections), 1.0))


def power_cap(n_in: int, n_out: int, *, delta: float = 0.0, confidence: float = 0.95) -> float:
    """What a test without a single error would show: no ε above it can be found with so many trials."""
    return float(epsilon_lower(n_in, n_in, 0, n_out, delta=delta, confidence=confidence))


def epsilon_by_split(
    in_M: Scores, out_N: Scores, *, rng: np.random.Generator, delta: float = 0.0, confidence: float = 0.95
) -> float:
    """ε_LB at the threshold that shows most on one half of the trials, judged on the other half."""
    if min(len(in_M), len(out_N)) < 2:
        raise ValueError("a split needs two trials with and two without the example")
    in_M, out_N = rng.permutation(in_M), rng.permutation(out_N)
    chosen_in, judged_in = in_M[: len(in_M) // 2], in_M[len(in_M) // 2 :]
    chosen_out, judged_out = out_N[: len(out_N) // 2], out_N[len(out_N) // 2 :]
    candidates_T = np.unique(np.concatenate([chosen_in, chosen_out]))
    shown_T = _at(chosen_in, chosen_out, candidates_T, delta, confidence)
    best = candidates_T[[int(shown_T.argmax())]]
    return float(_at(judged_in, judged_out, best, delta, confidence)[0])


def epsilon_by_grid(
    in_M: Scores, out_N: Scores, thresholds_T: Scores, *, delta: float = 0.0, confidence: float = 0.95
) -> float:
    """The largest ε_LB over thresholds fixed in advance, each at 1/T of the error."""
    each = 1 - (1 - confidence) / len(thresholds_T)
    return float(_at(in_M, out_N, np.asarray(thresholds_T, dtype=np.float64), delta, each).max())


def _at(in_M: Scores, out_N: Scores, thresholds_T: Scores, delta: float, confidence: float) -> Scores:
    """ε_LB of saying "member" above each threshold."""
    tp = len(in_M) - np.searchsorted(np.sort(in_M), thresholds_T, side="right")
    fp = len(out_N) - np.searchsorted(np.sort(out_N), thresholds_T, side="right")
    return epsilon_lower(tp, len(in_M), fp, len(out_N), delta=delta, confidence=confidence)


def _low(successes: NDArray[np.int64], n: int, tail: float) -> Scores:
    """The one-sided Clopper–Pearson lower limit."""
    return np.where(successes > 0, betaincinv(np.maximum(successes, 1), n - successes + 1, tail), 0.0)
