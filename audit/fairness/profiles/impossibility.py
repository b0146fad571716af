"""Which criteria cannot hold together at these base rates, and what equalising some forces on the others.

Of every group, with base rate p = P(Y = 1): FPR = p/(1 − p) · (1 − PPV)/PPV · (1 − FNR), an identity of the
confusion matrix (Chouldechova, arXiv:1610.07524). So where base rates differ and prediction is imperfect,
PPV, FPR and FNR cannot all be equal between groups; nor can a score be calibrated in each group and give the
positives, and the negatives, of all groups the same mean (Kleinberg et al., arXiv:1609.05807). Y = 1 is the
positive class of the tally. Shapes: G groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from raiaudit.audit.fairness.by_group.comparisons import comparable, widest_gap
from raiaudit.audit.fairness.by_group.metrics import Confusion
from raiaudit.audit.fairness.by_group.permutation import permutation_p_value
from raiaudit.audit.fairness.by_group.values import GroupValue, proportion
from raiaudit.audit.fairness.profiles.criteria import CRITERIA, Rates, forced_fnr, forced_fpr, forced_ppv
from raiaudit.audit.fairness.profiles.record import Recorder, table
from raiaudit.audit.statistics.intervals import Interval, wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.fairness.counting.tally import Tally
    from raiaudit.audit.measurement import Measurement

__all__ = ["impossibility"]

_MOST_DRAWN = 4_000_000
_MOST_MEASURED = 100
_NUMBERS = (
    *("base_rate", "low", "high", "ppv", "fpr", "fpr_low", "fpr_high", "fnr"),
    *("forced_fpr", "forced_fpr_low", "forced_fpr_high", "forced_fnr", "forced_ppv", "identity_error"),
)
SCHEMA = {
    "attribute": pl.String,
    "group": pl.String,
    "n": pl.Int64,
    **dict.fromkeys(_NUMBERS, pl.Float64),
    "note": pl.String,
}
PANEL = {
    "attribute": pl.String,
    "criteria": pl.String,
    "together": pl.String,
    "why": pl.String,
    "source": pl.String,
}


def impossibility(
    tally: Tally, attribute: str, *, min_group: int, confidence: float, draws: int, rng: np.random.Generator
) -> tuple[list[Measurement], pl.DataFrame, pl.DataFrame]:
    """Measurements of base rates (of the 100 largest groups), all groups (`SCHEMA`), the panel (`PANEL`).

    The tally has labels and a positive class.
    """
    assert tally.positive is not None
    record = Recorder({"attribute": attribute}, confidence)
    cells = tally.cells(attribute)
    counts = Confusion.of(cells.counts, tally.positive)
    rows = list(zip(cells.axes[0].levels, *(part.tolist() for part in counts), strict=True))
    bases = [
        proportion(group, tp + fn, tp + fp + fn + tn, minimum=min_group, condition="examples")
        for group, tp, fp, fn, tn in rows
    ]
    pooled = _pooled([row for row, base in zip(rows, bases, strict=True) if base.left_out is None])
    filled = [
        _group_row(attribute, row, base, pooled, confidence) for row, base in zip(rows, bases, strict=True)
    ]
    measured = [
        *_of_groups(bases, filled, pooled, record),
        *_differences(bases, record, draws, rng),
    ]
    panel = _panel(attribute, measured[-1], pooled, 1 - confidence)
    return measured, table(SCHEMA, filled), panel


def _over(k: int, n: int) -> float | None:
    return k / n if n else None


def _rates(tp: int, fp: int, fn: int, tn: int) -> Rates:
    base = (tp + fn) / (tp + fp + fn + tn)
    return Rates(base, _over(tp, tp + fp), _over(fp, fp + tn), _over(fn, tp + fn))


def _pooled(rows: list[tuple[str, int, int, int, int]]) -> Rates | None:
    if not rows:
        return None
    return _rates(*(sum(column) for column in list(zip(*rows, strict=True))[1:]))


def _group_row(
    attribute: str,
    row: tuple[str, int, int, int, int],
    base: GroupValue,
    pooled: Rates | None,
    confidence: float,
) -> dict[str, Any]:
    """What holds of the group, and what would at the PPV, FPR and FNR of all groups together."""
    group, tp, fp, fn, tn = row
    own = _rates(tp, fp, fn, tn)
    low, high = base.interval(confidence)
    fpr_low, fpr_high = wilson(fp, fp + tn, confidence) if fp + tn else (None, None)
    filled: dict[str, Any] = {
        "attribute": attribute,
        "group": group,
        "n": base.n,
        "base_rate": own.base,
        "low": low,
        "high": high,
        "ppv": own.ppv,
        "fpr": own.fpr,
        "fpr_low": fpr_low,
        "fpr_high": fpr_high,
        "fnr": own.fnr,
        "note": base.left_out,
    }
    if own.ppv and own.fpr is not None and own.fnr is not None:
        identity = own.base / (1 - own.base) * (1 - own.ppv) / own.ppv * (1 - own.fnr)
        filled["identity_error"] = abs(identity - own.fpr)
    if pooled is None or base.left_out is not None:
        return filled
    _, ppv, fpr, fnr = pooled
    if ppv is not None and fnr is not None:
        filled["forced_fpr"] = forced_fpr(own.base, ppv, fnr)
        filled["forced_fpr_low"] = forced_fpr(low, ppv, fnr)
        filled["forced_fpr_high"] = forced_fpr(high, ppv, fnr)
    if ppv is not None and fpr is not None:
        filled["forced_fnr"] = forced_fnr(own.base, ppv, fpr)
    if fpr is not None and fnr is not None:
        filled["forced_ppv"] = forced_ppv(own.base, fpr, fnr)
    return filled


def _of_groups(
    bases: list[GroupValue], rows: list[dict[str, Any]], pooled: Rates | None, record: Recorder
) -> list[Measurement]:
    measured = []
    largest = {base.group for base in sorted(bases, key=lambda base: -base.n)[:_MOST_MEASURED]}
    for base, row in zip(bases, rows, strict=True):
        if base.group not in largest:
            continue
        limits = base.interval(record.confidence)
        measured.append(
            record.measure(
                "base_rate",
                base.value,
                limits,
                n=base.n,
                method="wilson1927",
                reason=base.left_out,
                beside="group" if base.left_out else None,
                group=base.group,
            )
        )
        if pooled is not None and base.left_out is None:
            measured.append(_forced(base, row, pooled, record))
    return measured


def _forced(base: GroupValue, row: dict[str, Any], pooled: Rates, record: Recorder) -> Measurement:
    """The group's FPR at its base rate, were PPV and FNR those of all; the interval is the base rate's."""
    value, limits = row.get("forced_fpr"), (row.get("forced_fpr_low"), row.get("forced_fpr_high"))
    if pooled.ppv is None or pooled.fnr is None:
        reason = f"nobody is {'predicted' if pooled.ppv is None else 'labelled'} positive"
    else:
        at = f"the PPV {pooled.ppv:.1%} and FNR {pooled.fnr:.1%} of all groups together"
        reason = f"at {at}" if value is not None else f"no predictions at this base rate have {at}"
    return record.measure(
        "forced_false_positive_rate",
        value,
        limits if None not in limits else (None, None),
        n=base.n,
        method="chouldechova2017",
        reason=reason,
        group=base.group,
    )


def _differences(
    bases: list[GroupValue], record: Recorder, draws: int, rng: np.random.Generator
) -> list[Measurement]:
    """The widest gap of base rates and the exact test that there is none; the test comes last."""
    able = comparable(bases)
    widest = widest_gap([bases], record.confidence)
    n = sum(base.n for base in able)
    if widest is None:
        reason = "fewer than two groups can be compared"
        return [
            record.measure("base_rate_difference", None, n=n, method="newcombe1998", reason=reason),
            record.measure("base_rate_p_value", None, n=n, method="dwass1957", reason=reason),
        ]
    positives_G, n_G = [round((base.value or 0.0) * base.n) for base in able], [base.n for base in able]
    pooled = sum(positives_G) / n

    def chi_square(rates: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Up to a factor; unlike the widest gap not at the mercy of the smallest group."""
        return np.asarray((np.asarray(n_G) * (rates[0] - pooled) ** 2).sum(-1))

    # Thousands of groups: fewer draws, a p-value as valid.
    draws = min(draws, max(199, _MOST_DRAWN // len(able)))
    p_value = permutation_p_value([(positives_G, n_G)], rng=rng, draws=draws, statistic=chi_square)
    reason = f"highest {widest.highest}, lowest {widest.lowest}"
    limits = Interval(widest.low, widest.high)
    return [
        record.measure(
            "base_rate_difference", widest.value, limits, n=n, method="newcombe1998", reason=reason
        ),
        record.measure("base_rate_p_value", p_value, n=n, method="dwass1957"),
    ]


def _panel(attribute: str, test: Measurement, pooled: Rates | None, alpha: float) -> pl.DataFrame:
    rows = []
    for item in CRITERIA:
        if test.value is None:
            together, why = "not answered", str(test.reason)
        elif pooled is not None and item.escapes(pooled):
            together, why = "yes", item.escape
        elif test.value <= alpha:
            together, why = "no", f"base rates differ (p = {test.value:.2g}): {item.why}"
        else:
            together, why = "not ruled out", f"base rates may be equal (p = {test.value:.2g})"
        rows.append((attribute, item.criteria, together, why, item.source))
    return table(PANEL, [dict(zip(PANEL, row, strict=True)) for row in rows])
