"""What other checks measured of every example, by group: means, their gaps, and a permutation test.

Intervals are Student's of each mean; of gaps they are put together by the squares of their distances (Zou and
Donner, doi:10.1002/sim.3095), which for means is Welch's interval but for the degrees of freedom, of which
each mean keeps its own. The test permutes the groups over the examples and compares the widest gap of means.
Shapes: N examples, G groups.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import polars as pl
from scipy.special import stdtrit

from raiaudit.audit.fairness.by_group.comparisons import comparable
from raiaudit.audit.fairness.by_group.values import GroupValue, left_out
from raiaudit.audit.fairness.counting.cells import UNKNOWN
from raiaudit.audit.statistics.intervals import Interval
from raiaudit.audit.statistics.keyed import keyed_rng

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.fairness.by_group.reporting import Reporter
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.measurement import Measurement

__all__ = ["QUANTITIES", "Quantity", "mean_by_group", "means_p_value", "quantities_by_group"]

_MOST_SHUFFLED = 20_000_000
_FEWEST_DRAWS = 199
_CHUNK = 1 << 22


class Quantity(NamedTuple):
    """`columns` of the ledger (numbers or booleans): the first, less the second if there are two."""

    columns: tuple[str, ...]
    better: Literal["higher", "lower", "neither"]
    unit: str = ""


QUANTITIES: dict[str, Quantity] = {
    "brier_score": Quantity(("calibration.brier",), "lower", "squared error"),
    "overconfidence": Quantity(("calibration.confidence", "calibration.correct"), "neither"),
    "deletion_gain": Quantity(("attribution.random", "attribution.integrated_gradients.deletion"), "higher"),
    "insertion_gain": Quantity(
        ("attribution.integrated_gradients.insertion", "attribution.random"), "higher"
    ),
    "completeness_error": Quantity(("attribution.integrated_gradients.completeness_error",), "lower"),
}
"""Calibration and the quality of explanations, as `reliability.calibration` and `explanations.attribution`
have them: confidence less being right, and how much sooner than by chance the model changes its mind when
what the explanation names is taken out.
"""


def quantities_by_group(
    report: Reporter, ledger: LedgerReader, group: str, minimum: int
) -> list[Measurement]:
    """Those whose columns the ledger has; `group` is the group column."""
    held, found = ledger.columns(), []
    for metric, quantity in QUANTITIES.items():
        if set(quantity.columns) <= set(held):
            rows = ledger.scan(group, *quantity.columns).drop_nulls(quantity.columns).collect()
            first, *rest = (rows[name].cast(pl.Float64).to_numpy() for name in quantity.columns)
            value_N = first - rest[0] if rest else first
            found += mean_by_group(
                replace(report, evidence=(group, *quantity.columns)),
                metric,
                rows[group].fill_null(UNKNOWN),
                value_N,
                quantity,
                minimum,
            )
    return found


def mean_by_group(
    report: Reporter,
    metric: str,
    groups: pl.Series,
    value_N: NDArray[np.float64],
    quantity: Quantity,
    minimum: int,
) -> list[Measurement]:
    """Means, gaps to the reference, `<metric>_difference` and its p-value."""
    parts = {
        str(level): value_N[(groups == level).to_numpy()] for level in sorted(groups.cast(pl.String).unique())
    }
    values = [_mean(level, mine, minimum) for level, mine in parts.items()]
    able = [value.group for value in comparable(values)]
    name, unit = f"{metric}_p_value", quantity.unit
    found = [
        *report.groups(metric, values, quantity.better, "zou2008", unit=unit),
        *report.gaps(metric, values, "zou2008", unit=unit),
        report.widest(f"{metric}_difference", [values], "zou2008", unit=unit),
    ]
    if len(able) > 1:
        rng = keyed_rng(report.seed, report.check, report.attribute, name)
        p, draws = means_p_value([parts[level] for level in able], rng=rng, draws=report.draws)
        reason = None if draws == report.draws else f"{draws} draws"
        found.append(report.tested(name, p, sum(len(parts[level]) for level in able), reason=reason))
    return found


def _mean(group: str, value_N: NDArray[np.float64], minimum: int) -> GroupValue:
    n = len(value_N)
    mean = float(value_N.mean()) if n else None
    reason = left_out(group, n, n, minimum, "measured examples")
    if n < 2:
        return GroupValue(
            group, None, n, lambda _: Interval(-math.inf, math.inf), reason or "one example alone"
        )
    return GroupValue(
        group, mean, n, partial(_student, float(value_N.mean()), float(value_N.std(ddof=1)), n), reason
    )


def _student(mean: float, deviation: float, n: int, confidence: float) -> Interval:
    reach = float(stdtrit(n - 1, (1 + confidence) / 2)) * deviation / math.sqrt(n)
    return Interval(mean - reach, mean + reach)


def means_p_value(
    parts: list[NDArray[np.float64]], *, rng: np.random.Generator, draws: int
) -> tuple[float, int]:
    """P(max − min of the means is at least the one seen | groups permuted), and the draws it took.

    At most so many that 2·10⁷ values are shuffled, at least 199.
    """
    value_N, sizes = np.concatenate(parts), np.array([len(part) for part in parts])
    start_G = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    draws = min(draws, max(_FEWEST_DRAWS, _MOST_SHUFFLED // len(value_N)))
    seen = np.ptp(np.add.reduceat(value_N, start_G) / sizes)
    step, as_wide = max(1, _CHUNK // len(value_N)), 0
    for start in range(0, draws, step):
        shuffled = rng.permuted(np.tile(value_N, (min(step, draws - start), 1)), axis=1)
        means = np.add.reduceat(shuffled, start_G, axis=1) / sizes
        as_wide += int((np.ptp(means, axis=1) >= seen - 1e-12).sum())
    return (as_wide + 1) / (draws + 1), draws
