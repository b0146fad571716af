"""What any study may tabulate: accuracy, robust and worst-group accuracy, membership leakage; by variant.

Differences of membership AUCs are DeLong's for correlated curves. Thresholds of the attack are each model's
own, at one false-positive rate; intervals, the paired one too, allow for the luck of those that set them.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raiaudit.audit.fairness.counting.cells import UNKNOWN
from raiaudit.audit.fairness.counting.rows import CHECK_ID, group_column
from raiaudit.audit.privacy.inference.membership_summary import Attack, headline, membership_scores, parted
from raiaudit.audit.privacy.inference.rates import (
    smallest_fpr,
    threshold_at_fpr,
    tpr_of_possible_thresholds,
)
from raiaudit.audit.statistics.extremes import Paired, Term, change_of_largest
from raiaudit.audit.statistics.intervals import auc_delong, clopper_pearson, wilson
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.audit.statistics.paired_auc import paired_auc_difference
from raiaudit.audit.studies.cells import (
    CONFIDENCE,
    STANDARD,
    Cell,
    Cells,
    Change,
    Runs,
    column_of,
    shares,
    undefined,
    with_luck,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.store import Run

__all__ = [
    "clean_accuracy",
    "least_of_group",
    "membership_auc",
    "membership_tpr",
    "robust_accuracy",
    "worst_group_accuracy",
]

_BROKEN = re.compile(r"evasion\.(\w+)-([\d.]+(?:e[+-]?\d+)?)-(.+)\.broken")
_SMALLEST_FPR = 0.001


def clean_accuracy(runs: Runs) -> Cells:
    """`accuracy` of performance.accuracy."""
    return shares({name: column_of(run, "accuracy.correct") for name, run in runs.items()}, wilson)


def robust_accuracy(runs: Runs) -> Cells:
    """Right on an example under every evasion attack of every threat that all runs have in common."""
    held = [{column for column in run.ledger.columns() if _BROKEN.fullmatch(column)} for run in runs.values()]
    columns = sorted(set.intersection(*held))
    if not columns:
        return undefined(runs, "no evasion attack ran on every variant")
    threats = "; ".join(" ".join(_BROKEN.fullmatch(column).groups()) for column in columns)  # type: ignore[union-attr]  # they matched
    stood = {}
    for name, run in runs.items():
        rows = run.ledger.scan(*columns).drop_nulls().collect()
        stood[name] = rows.select("example_id", good=~pl.any_horizontal(columns))
    return shares(stood, wilson, where=threats)


def membership_auc(runs: Runs) -> Cells:
    """Of the strongest attack that all runs have the signals for."""
    attack, scores = _scores(runs)
    if attack is None:
        return undefined(runs, "privacy.membership did not run on every variant", better="lower")
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
        return undefined(runs, "privacy.membership did not run on every variant", better="lower")
    outsiders = min(int((~table["member"]).sum()) for table in scores.values())
    supported = smallest_fpr(outsiders)
    if supported is None:
        return undefined(
            runs, f"{outsiders} non-members are too few for any rate: 22 at least", better="lower"
        )
    rate = max(_SMALLEST_FPR, math.ceil(1000 * supported - 1e-9) / 1000)
    remark = ""
    if rate > _SMALLEST_FPR:
        remark = f"{100 * rate:g} % is the smallest FPR that {outsiders} non-members support"
    caught, luck = {}, {}
    for name, run in runs.items():
        table = scores[name]
        rng = keyed_rng(run.results.seed, "tradeoff", attack, rate)
        threshold, why = threshold_at_fpr(parted(table)[1], rate, rng)
        assert threshold is not None, why
        members = table.filter("member")
        caught[name] = members.select("example_id", good=pl.col("score") > threshold.value)
        luck[name] = tpr_of_possible_thresholds(members["score"].to_numpy(), threshold)
    told = f"{attack} at {100 * rate:g} % FPR"
    return with_luck(shares(caught, clopper_pearson, where=told, better="lower", remark=remark), luck)


def worst_group_accuracy(runs: Runs, attribute: str | None = None) -> Cells:
    """The smallest accuracy of a group with enough examples, simultaneous over the groups of one or of all
    group columns.
    """
    values = {name: _by_group(run, attribute) for name, run in runs.items()}
    shared = sorted(set.intersection(*(set(groups) for groups in values.values())))
    if not shared:
        return undefined(runs, "no group has enough examples, or fairness.groups did not run")
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
    """min a − min b, for accuracies of the same groups, wherever each model has its smallest."""
    people = {group: Paired.of(*both) for group, both in enumerate(zip(ours, base, strict=True))}
    a, b = ([Term(-pairs.shares[side], {group: -1.0}) for group, pairs in people.items()] for side in (0, 1))
    low, high = change_of_largest(a, b, people, comparisons=len(people) ** 2, confidence=CONFIDENCE)
    difference = min(float(a.mean()) for a in ours) - min(float(b.mean()) for b in base)
    return Change(
        difference=difference,
        low=min(-high, difference),
        high=max(-low, difference),
        n=sum(map(len, base)),
    )


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


def least_of_group(run: Run) -> int:
    """The fewest examples of a group that fairness.groups compares in this run."""
    configs = (check.config for check in run.results.checks if check.check == CHECK_ID)
    return next((int(str(config["min_group"])) for config in configs), 30)


def _by_group(run: Run, attribute: str | None) -> dict[str, NDArray[np.bool_]]:
    """`column = level` → right or wrong, by example; of groups as large as fairness.groups compares."""
    outcome = ["fairness.label", "fairness.predicted"]
    held = run.ledger.columns()
    if not set(outcome) <= held:
        return {}
    minimum = least_of_group(run)
    columns = [group_column(attribute)] if attribute is not None else [*held]
    found = {}
    for column in sorted(name for name in columns if name in held and name.startswith("fairness.group.")):
        rows = run.ledger.scan(column, *outcome).drop_nulls().sort("example_id").collect()
        for (level,), part in rows.group_by(column, maintain_order=True):
            if level != UNKNOWN and part.height >= minimum:
                right = part["fairness.label"] == part["fairness.predicted"]
                found[f"{column.removeprefix('fairness.group.')} = {level}"] = right.to_numpy()
    return found
