"""One number of one variant, with its interval and its paired difference to the standard model.

Everything is read from finished runs: their ledgers hold the same examples, row by row. Differences of shares
are Bonett and Price's paired intervals, of membership AUCs DeLong's for correlated curves. Thresholds of the
attack are each model's own, at one false-positive rate, and taken as given in the paired interval.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from raiaudit.audit.fairness.counting.cells import UNKNOWN
from raiaudit.audit.privacy.inference.membership_summary import Attack, headline, membership_scores, parted
from raiaudit.audit.privacy.inference.rates import smallest_fpr, threshold_at_fpr
from raiaudit.audit.statistics.intervals import (
    Interval,
    auc_delong,
    clopper_pearson,
    paired_difference,
    wilson,
)
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.audit.statistics.paired_auc import paired_auc_difference
from raiaudit.audit.tradeoff.variants import STANDARD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.store import Run

__all__ = ["CELLS", "CONFIDENCE", "Cell", "Change"]

_BROKEN = re.compile(r"evasion\.(\w+)-([\d.]+(?:e[+-]?\d+)?)-(.+)\.broken")
CONFIDENCE = 0.95
_SMALLEST_FPR = 0.001
_BOUNDS = ("f-DP", "(ε, δ)")  # of privacy.canaries, the stronger one first

Runs = Mapping[str, "Run"]
Cells = dict[str, "Cell"]


class Change(BaseModel):
    """This variant minus the standard one, on the `n` examples both were asked about."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    difference: float
    low: float
    high: float
    n: int


class Cell(BaseModel):
    """A metric of one variant. Undefined is None with a reason; `slice` says what was measured exactly."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    better: str = "higher"
    slice: str = ""
    remark: str = ""
    reason: str | None = None
    change: Change | None = None


def clean_accuracy(runs: Runs) -> Cells:
    """`accuracy` of performance.accuracy."""
    return _shares({name: _column(run, "accuracy.correct") for name, run in runs.items()}, wilson)


def robust_accuracy(runs: Runs) -> Cells:
    """Right on an example under every evasion attack of every threat that all runs have in common."""
    held = [{column for column in run.ledger.columns() if _BROKEN.fullmatch(column)} for run in runs.values()]
    columns = sorted(set.intersection(*held))
    if not columns:
        return _undefined(runs, "no evasion attack ran on every variant")
    threats = "; ".join(" ".join(_BROKEN.fullmatch(column).groups()) for column in columns)  # type: ignore[union-attr]  # they matched
    stood = {}
    for name, run in runs.items():
        rows = run.ledger.scan(*columns).drop_nulls().collect()
        stood[name] = rows.select("example_id", good=~pl.any_horizontal(columns))
    return _shares(stood, wilson, where=threats)


def membership_auc(runs: Runs) -> Cells:
    """Of the strongest attack that all runs have the signals for."""
    attack, scores = _scores(runs)
    if attack is None:
        return _undefined(runs, "privacy.membership did not run on every variant", better="lower")
    sides = {name: parted(table) for name, table in scores.items()}
    base, found = sides[STANDARD], {}
    for name, (inside, outside) in sides.items():
        area = auc_delong(inside, outside, CONFIDENCE)
        change = None
        if name != STANDARD and area.value is not None:
            gap = area.value - (auc_delong(*base).value or 0.0)
            limits = paired_auc_difference(inside, outside, *base, confidence=CONFIDENCE)
            change = Change(difference=gap, low=limits.low, high=limits.high, n=len(inside) + len(outside))
        found[name] = Cell(
            value=area.value,
            low=area.low,
            high=area.high,
            n=len(inside) + len(outside),
            better="lower",
            slice=attack,
            reason=None if area.value is not None else "there are no members or no non-members",
            change=change,
        )
    return found


def membership_tpr(runs: Runs) -> Cells:
    """At a false-positive rate of 0.1 %, or the smallest that the pool supports."""
    attack, scores = _scores(runs)
    if attack is None:
        return _undefined(runs, "privacy.membership did not run on every variant", better="lower")
    outsiders = min(int((~table["member"]).sum()) for table in scores.values())
    supported = smallest_fpr(outsiders)
    if supported is None:
        return _undefined(
            runs, f"{outsiders} non-members are too few for any rate: 22 at least", better="lower"
        )
    rate = max(_SMALLEST_FPR, math.ceil(1000 * supported - 1e-9) / 1000)
    remark = ""
    if rate > _SMALLEST_FPR:
        remark = f"{100 * rate:g} % is the smallest FPR that {outsiders} non-members support"
    caught = {}
    for name, run in runs.items():
        table = scores[name]
        rng = keyed_rng(run.results.seed, "tradeoff", attack, rate)
        threshold, why = threshold_at_fpr(parted(table)[1], rate, rng)
        assert threshold is not None, why
        members = table.filter("member")
        caught[name] = members.select("example_id", good=pl.col("score") > threshold.value)
    told = f"{attack} at {100 * rate:g} % FPR"
    return _shares(caught, clopper_pearson, where=told, better="lower", remark=remark)


def epsilon_lower(runs: Runs) -> Cells:
    """The largest of what canaries show, by the one bound that every run has; no interval of its own.

    privacy.canaries shares its error out among the kinds of canary, so that the largest of a bound holds.
    """
    measured = {name: _named(run, "privacy.canaries", "epsilon_lower_bound") for name, run in runs.items()}
    bounds = [
        {str(m.where.get("bound")) for m in found if m.value is not None} for found in measured.values()
    ]
    shared = set.intersection(*bounds)
    chosen = next((bound for bound in _BOUNDS if bound in shared), None)
    cells = _measured(runs, "privacy.canaries", "epsilon_lower_bound", {"bound": chosen} if chosen else {})
    for name, run in runs.items():
        caps = [
            m.value
            for m in _named(run, "privacy.canaries", "epsilon_power_cap")
            if m.value is not None and m.where.get("bound") == chosen
        ]
        if caps and cells[name].value is not None:
            told = f"{cells[name].slice}; a perfect attack would show {max(caps):.3g}"
            cells[name] = cells[name].model_copy(update={"slice": told})
    return cells


def epsilon(runs: Runs) -> Cells:
    """The accountant's upper bound."""
    return _measured(runs, "privacy.accounting", "epsilon", {})


def worst_group_accuracy(runs: Runs) -> Cells:
    """The smallest accuracy of a group with enough examples, over all group columns and simultaneous."""
    values = {name: _by_group(run) for name, run in runs.items()}
    shared = sorted(set.intersection(*(set(groups) for groups in values.values())))
    if not shared:
        return _undefined(runs, "no group has enough examples, or fairness.groups did not run")
    right = {name: [groups[key] for key in shared] for name, groups in values.items()}
    each = 1 - (1 - CONFIDENCE) / len(shared)
    found: Cells = {}
    for name, groups in right.items():
        limits = [wilson(int(group.sum()), len(group), each) for group in groups]
        shares = [float(group.mean()) for group in groups]
        worst = int(np.argmin(shares))
        found[name] = Cell(
            value=shares[worst],
            low=min(limit.low for limit in limits),
            high=min(limit.high for limit in limits),
            n=len(groups[worst]),
            slice=shared[worst],
            change=None if name == STANDARD else _worst_change(groups, right[STANDARD]),
        )
    return found


def _worst_change(ours: list[NDArray[np.bool_]], base: list[NDArray[np.bool_]]) -> Change:
    """min a − min b, for accuracies of the same groups, wherever each model has its smallest.

    Half of the error goes to intervals of all accuracies, which bound each minimum and tell which groups can
    have it; half to the groups' paired differences. Where a has its minimum, the difference is at most that
    of the minima; where b has its own, at least. What both ways allow is the interval.
    """
    groups, half = len(base), (1 - CONFIDENCE) / 2
    of_a, of_b = (
        [wilson(int(right.sum()), len(right), 1 - half / (2 * groups)) for right in side]
        for side in (ours, base)
    )
    gaps = [paired_difference(a, b, 1 - half / groups) for a, b in zip(ours, base, strict=True)]
    low_a, high_a = min(i.low for i in of_a), min(i.high for i in of_a)
    low_b, high_b = min(i.low for i in of_b), min(i.high for i in of_b)
    paired_low = min(gap.low for gap, i in zip(gaps, of_a, strict=True) if i.low <= high_a)
    paired_high = max(gap.high for gap, i in zip(gaps, of_b, strict=True) if i.low <= high_b)
    return Change(
        difference=min(float(a.mean()) for a in ours) - min(float(b.mean()) for b in base),
        low=max(paired_low, low_a - high_b),
        high=min(paired_high, high_a - low_b),
        n=sum(map(len, base)),
    )


CELLS: dict[str, Callable[[Runs], Cells]] = {
    "clean_accuracy": clean_accuracy,
    "robust_accuracy": robust_accuracy,
    "worst_group_accuracy": worst_group_accuracy,
    "membership_auc": membership_auc,
    "membership_tpr": membership_tpr,
    "epsilon_lower": epsilon_lower,
    "epsilon": epsilon,
}
"""Metric → its cell for every variant, in the order of the table."""


def _column(run: Run, column: str) -> pl.DataFrame:
    if column not in run.ledger.columns():
        return pl.DataFrame(schema={"example_id": pl.String, "good": pl.Boolean})
    return run.ledger.scan(column).drop_nulls().collect().rename({column: "good"})


def _shares(
    tables: Mapping[str, pl.DataFrame],
    interval: Callable[[int, int, float], Interval],
    *,
    where: str = "",
    better: str = "higher",
    remark: str = "",
) -> Cells:
    """The share of good rows of each, and its paired change; tables hold example_id and `good`."""
    found = {}
    for name, table in tables.items():
        n, good = table.height, int(table["good"].sum())
        limits = interval(good, n, CONFIDENCE)
        found[name] = Cell(
            value=good / n if n else None,
            low=limits.low if n else None,
            high=limits.high if n else None,
            n=n,
            slice=where,
            better=better,
            remark=remark,
            reason=None if n else "the ledger has no such rows: its check failed",
            change=_change(table, tables[STANDARD]) if name != STANDARD else None,
        )
    return found


def _change(ours: pl.DataFrame, base: pl.DataFrame) -> Change | None:
    pairs = ours.join(base, on="example_id", suffix="_base")
    if not pairs.height:
        return None
    good, theirs = pairs["good"].to_numpy(), pairs["good_base"].to_numpy()
    limits = paired_difference(good, theirs, CONFIDENCE)
    gap = float(good.mean() - theirs.mean())
    return Change(difference=gap, low=limits.low, high=limits.high, n=pairs.height)


def _scores(runs: Runs) -> tuple[Attack | None, dict[str, pl.DataFrame]]:
    """The attack, and each run's scores of the same points in the same order."""
    if any("membership.member" not in run.ledger.columns() for run in runs.values()):
        return None, {}
    attacks = {headline(run.ledger) for run in runs.values()}
    attack: Attack = attacks.pop() if len(attacks) == 1 else "loss"
    tables = {name: membership_scores(run.ledger, attack).sort("example_id") for name, run in runs.items()}
    ids = tables[STANDARD]["example_id"]
    if any(not table["example_id"].equals(ids) for table in tables.values()):
        return None, {}
    return attack, tables


def _by_group(run: Run) -> dict[str, NDArray[np.bool_]]:
    """`column = level` → right or wrong, by example; of groups as large as fairness.groups compares."""
    outcome = ["fairness.label", "fairness.predicted"]
    held = run.ledger.columns()
    if not set(outcome) <= held:
        return {}
    minimum = next(
        (check.config["min_group"] for check in run.results.checks if check.check == "fairness.groups"), 30
    )
    found = {}
    for column in sorted(name for name in held if name.startswith("fairness.group.")):
        rows = run.ledger.scan(column, *outcome).drop_nulls().sort("example_id").collect()
        for (level,), part in rows.group_by(column, maintain_order=True):
            if level != UNKNOWN and part.height >= int(str(minimum)):
                right = part["fairness.label"] == part["fairness.predicted"]
                found[f"{column.removeprefix('fairness.group.')} = {level}"] = right.to_numpy()
    return found


def _named(run: Run, check: str, metric: str) -> list[Measurement]:
    return [m for m in run.results.measurements if m.check == check and m.metric == metric]


def _measured(runs: Runs, check: str, metric: str, where: Mapping[str, str]) -> Cells:
    """The largest of the measurements of a metric, in the slice `where`."""
    found = {}
    for name, run in runs.items():
        measured = _named(run, check, metric)
        defined = [m for m in measured if m.value is not None and where.items() <= m.where.items()]
        if not defined:
            outcome = next(
                (o.reason for o in run.results.checks if o.check == check), f"no {check} in the spec"
            )
            reason = measured[0].reason if measured else outcome
            found[name] = Cell(value=None, better="lower", reason=reason or "not measured")
            continue
        largest = max(defined, key=lambda m: m.value or 0.0)
        slice_ = ", ".join(f"{key} = {value}" for key, value in largest.where.items())
        facts: dict[str, Any] = {"value": largest.value, "low": largest.low, "high": largest.high}
        found[name] = Cell(**facts, n=largest.n, better="lower", slice=slice_)
    return found


def _undefined(runs: Runs, reason: str, *, better: str = "higher") -> Cells:
    return {name: Cell(value=None, reason=reason, better=better) for name in runs}
