"""Faithfulness metrics as functions of one perturbation trace.

| metric | definition over the trace | source |
|---|---|---|
| `deletion_auc` | area under MoRF, probability | Petsiuk et al., arXiv:1806.07421 |
| `insertion_auc` | area under MoRF insertion = LeRF walked backwards | Petsiuk et al., arXiv:1806.07421 |
| `aopc` | mean of p(x) − MoRF over all T points | Samek et al., arXiv:1509.06321 |
| `pixel_flipping` | mean of f(x) − f along MoRF, logits | Bach et al., doi:10.1371/journal.pone.0130140 |
| `monotonicity` | share of MoRF's steps that do not raise p (1: monotone) | Arya et al., arXiv:1909.03012 |
| `comprehensiveness` | mean of p(x) − p(x without the top q) | DeYoung et al., arXiv:1911.03429 |
| `sufficiency` | mean of p(x) − p(only the top q) | DeYoung et al., arXiv:1911.03429 |

Monotonicity is Arya's: features enter in ascending order of relevance and each should add; the published test
asks whether all do, here it is the share that do. (Nguyen's, arXiv:2007.07584, correlates relevance with the
spread of the answer and is another quantity.) ERASER's q are 5, 10, 20 and 50 %; its 1 % is below the
resolution of 20 levels. AOPC is p(x) less the deletion area up to the weight of the end points, so the two
are one piece of evidence, not two.

Shapes: curves B×T, T points from nothing removed to everything; every metric gives B float64. A metric is NaN
where a trace says nothing (no feature to remove).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from raiaudit.audit.explanations.quality.perturbation import area

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.explanations.quality.traces import Trace

__all__ = [
    "TRACE_METRICS",
    "TraceMetric",
    "aopc",
    "comprehensiveness",
    "deletion_auc",
    "insertion_auc",
    "monotonicity",
    "pixel_flipping",
    "sufficiency",
]

_SHARES = (0.05, 0.1, 0.2, 0.5)
_ROUNDING = 1e-6
"""A rise of probability below this is float32 arithmetic, not the model."""


def deletion_auc(trace: Trace) -> NDArray[np.float64]:
    """Small for a faithful map."""
    return area(trace.most_BT)


def insertion_auc(trace: Trace) -> NDArray[np.float64]:
    """Large for a faithful map."""
    return area(trace.least_BT)


def aopc(trace: Trace) -> NDArray[np.float64]:
    """Large for a faithful map."""
    drop: NDArray[np.float64] = (trace.most_BT[:, :1] - trace.most_BT).mean(axis=1)
    return drop


def pixel_flipping(trace: Trace) -> NDArray[np.float64]:
    """Large for a faithful map; in units of the logit."""
    drop: NDArray[np.float64] = (trace.logit_BT[:, :1] - trace.logit_BT).mean(axis=1)
    return drop


def monotonicity(trace: Trace) -> NDArray[np.float64]:
    """1 for a map whose every next feature mattered; steps that remove nothing do not count."""
    real = np.diff(trace.moved_BT, axis=1) > 0
    falls = real & (np.diff(trace.most_BT, axis=1) <= _ROUNDING)
    with np.errstate(invalid="ignore"):
        share: NDArray[np.float64] = falls.sum(axis=1) / real.sum(axis=1)
    return share


def comprehensiveness(trace: Trace) -> NDArray[np.float64]:
    """Large for a faithful map: without what it names, the prediction falls."""
    return _mean_drop(trace.most_BT, _SHARES)


def sufficiency(trace: Trace) -> NDArray[np.float64]:
    """Small for a faithful map: what it names carries the prediction alone."""
    return _mean_drop(trace.least_BT, [1 - share for share in _SHARES])


def _mean_drop(curve_BT: NDArray[np.float64], shares: object) -> NDArray[np.float64]:
    at = np.rint(np.asarray(shares) * (curve_BT.shape[1] - 1)).astype(int)
    drop: NDArray[np.float64] = (curve_BT[:, :1] - curve_BT[:, at]).mean(axis=1)
    return drop


class TraceMetric(NamedTuple):
    """`citation` is an id of the bibliography."""

    of: Callable[[Trace], NDArray[np.float64]]
    better: Literal["higher", "lower"]
    citation: str
    unit: str = ""


TRACE_METRICS: dict[str, TraceMetric] = {
    "deletion_auc": TraceMetric(deletion_auc, "lower", "petsiuk2018"),
    "insertion_auc": TraceMetric(insertion_auc, "higher", "petsiuk2018"),
    "aopc": TraceMetric(aopc, "higher", "samek2017"),
    "pixel_flipping": TraceMetric(pixel_flipping, "higher", "bach2015", "logits"),
    "monotonicity": TraceMetric(monotonicity, "higher", "arya2019"),
    "comprehensiveness": TraceMetric(comprehensiveness, "higher", "deyoung2020"),
    "sufficiency": TraceMetric(sufficiency, "lower", "deyoung2020"),
}
