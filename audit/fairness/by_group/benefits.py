"""How unequally a model's errors distribute benefit: generalized entropy, of people and between groups.

Speicher et al., arXiv:1807.00787: the benefit of a person is b = ŷ − y + 1 (2 for a false positive, 1 where
the prediction is right, 0 for a false negative). With μ its mean, GE(2) = 1/2 · E[(b/μ)² − 1], half the
squared coefficient of variation, and Theil's index T = E[b/μ · ln(b/μ)]. Between groups: the same with
everybody given the mean benefit of their group; the rest is within groups.

The indices of all people are smooth, and have the percentile interval of the bootstrap (rows, weighted rows
or clusters). Those between groups are 0 at the edge of what can be, where a bootstrap percentile never
covers: √(2·GE(2)) between is the length of the vector v_g = √(n_g/n)·(μ_g/μ − 1), so that by the triangle
inequality the quantile q of the bootstrap's ‖v* − v‖ bounds how far the true length is; Theil's limits are
its values where the groups' distances from the mean are shrunk and stretched by (‖v‖ ∓ q)/‖v‖. Shapes: B
replicates, G groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from raiaudit.audit.fairness.by_group.metrics import Confusion
from raiaudit.audit.statistics.intervals import Interval
from raiaudit.audit.statistics.keyed import keyed_rng

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.fairness.by_group.reporting import Reporter
    from raiaudit.audit.fairness.counting.clusters import Sample
    from raiaudit.audit.measurement import Measurement

__all__ = ["Inequality", "benefit_inequality", "inequality"]

_METHOD = "speicher2018"
_RESAMPLES = 1000
_FEWEST = 200  # of so many groups that a replicate takes milliseconds
_MOST_DRAWN = 1 << 22


class Inequality(NamedTuple):
    """Arrays (…); NaN where the mean benefit is 0. `ratio_G` is μ_g/μ, `share_G` n_g/n."""

    generalized_entropy: NDArray[np.float64]
    theil_index: NDArray[np.float64]
    generalized_entropy_between: NDArray[np.float64]
    theil_index_between: NDArray[np.float64]
    ratio_G: NDArray[np.float64]
    share_G: NDArray[np.float64]


def inequality(c: Confusion) -> Inequality:
    """From counts (…, G); groups without examples have a share of 0."""
    n_G = c.tp + c.fp + c.fn + c.tn
    benefit_G = c.tp + c.tn + 2 * c.fp
    with np.errstate(invalid="ignore", divide="ignore"):
        n = n_G.sum(-1)
        mean = benefit_G.sum(-1) / n
        one, two = 1 / mean, 2 / mean
        right, over = (c.tp + c.tn).sum(-1) / n, c.fp.sum(-1) / n
        share_G = n_G / n[..., None]
        ratio_G = np.where(n_G > 0, benefit_G / np.maximum(n_G, 1e-300) / mean[..., None], 1.0)
        whole = (right * one**2 + over * two**2 - 1) / 2
        theil = right * one * np.log(one) + over * two * np.log(two)
    return Inequality(whole, theil, *_between(ratio_G, share_G), ratio_G, share_G)


def _between(ratio_G: Any, share_G: Any) -> tuple[Any, Any]:
    logs = np.log(np.maximum(ratio_G, 1e-300))
    return (share_G * (ratio_G - 1) ** 2).sum(-1) / 2, (share_G * ratio_G * logs).sum(-1)


def benefit_inequality(report: Reporter, sample: Sample, positive: int) -> list[Measurement]:
    """`generalized_entropy`, `theil_index`, and both `_between` the levels of the attribute."""
    names = Inequality._fields[:4]
    n = int(sample.cells.counts.sum())
    seen = inequality(Confusion.of(sample.cells.totals, positive))
    if not np.isfinite(seen.generalized_entropy):
        reason = "nobody has a benefit: all predictions are false negatives" if n else "no examples"
        return [report.undefined(name, "lower", _METHOD, reason) for name in names]
    rng = keyed_rng(report.seed, report.check, report.attribute, "benefits")
    drawn = _drawn(sample, positive, rng)
    tail = (1 - report.confidence) / 2
    found = []
    for name in names[:2]:
        low, high = np.nanquantile(getattr(drawn, name), [tail, 1 - tail])
        limits = (float(low), float(high))
        found.append(report.valued(name, float(getattr(seen, name)), limits, n, "lower", _METHOD))
    for name, limits in zip(names[2:], _limits_between(seen, drawn, report.confidence), strict=True):
        found.append(report.valued(name, float(getattr(seen, name)), limits, n, "lower", _METHOD))
    return found


def _drawn(sample: Sample, positive: int, rng: np.random.Generator) -> Inequality:
    step = max(1, _MOST_DRAWN // sample.cells.counts.size)
    resamples = min(_RESAMPLES, max(_FEWEST, 2 * step))
    parts = [
        inequality(Confusion.of(sample.resample(rng, min(step, resamples - start)), positive))
        for start in range(0, resamples, step)
    ]
    return Inequality(*(np.concatenate(field) for field in zip(*parts, strict=True)))


def _limits_between(seen: Inequality, drawn: Inequality, confidence: float) -> tuple[Interval, Interval]:
    vector_G = np.sqrt(seen.share_G) * (seen.ratio_G - 1)
    drawn_BG = np.sqrt(drawn.share_G) * (drawn.ratio_G - 1)
    reach = float(np.nanquantile(np.linalg.norm(drawn_BG - vector_G, axis=-1), confidence))
    length = float(np.linalg.norm(vector_G))
    low, high = max(0.0, length - reach), length + reach
    direction_G = vector_G / length if length > 0 else np.sqrt(seen.share_G)
    unit_G = np.divide(
        direction_G, np.sqrt(seen.share_G), out=np.zeros_like(direction_G), where=seen.share_G > 0
    )
    theil = [float(_between(np.maximum(0.0, 1 + end * unit_G), seen.share_G)[1]) for end in (low, high)]
    return Interval(low**2 / 2, high**2 / 2), Interval(max(0.0, min(theil)), max(theil))
