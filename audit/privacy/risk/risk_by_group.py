"""Whose membership shows: the attack's rates in every group at one threshold, and whether groups differ.

One threshold for all is set by one half of all non-members; the rates of a group are then its members above
it (true positives) and its non-members of the other half above it (false accusations), which a common
threshold does not make equal. Intervals are Clopper and Pearson's, of the widest gap simultaneous.

Tests permute the groups among members and among non-members, so that "who is a member" stays as it is, and
compare the widest gap between two groups, of the TPR and of the AUC within a group, each gap relative to what
the sizes of the two make of chance: or else the smallest groups would decide. p = (b + 1) / (B + 1). Several
group columns are adjusted together (Benjamini and Hochberg).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from raiaudit.audit.fairness.by_group.comparisons import comparable
from raiaudit.audit.fairness.by_group.reporting import Reporter, strata_of
from raiaudit.audit.fairness.by_group.values import GroupValue, area
from raiaudit.audit.fairness.counting.cells import UNKNOWN, Axis
from raiaudit.audit.statistics.intervals import clopper_pearson
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.audit.statistics.multiplicity import benjamini_hochberg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.privacy.inference.rates import Threshold

__all__ = ["Scored", "adjusted", "auc_gap_p_value", "risk_by_group"]


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of the M members and N non-members of the pool, and the threshold they are all held against."""

    in_M: NDArray[np.float64]
    out_N: NDArray[np.float64]
    threshold: Threshold


class _Group(NamedTuple):
    """One level: its members' scores, its non-members', and those of them that did not set the threshold."""

    name: str
    in_M: NDArray[np.float64]
    out_N: NDArray[np.float64]
    judges: NDArray[np.float64]


def risk_by_group(
    report: Reporter, scored: Scored, members: pl.Series, others: pl.Series, minimum: int
) -> list[Measurement]:
    """`group_tpr`, `group_fpr`, their widest gaps, and the tests, of one group column.

    `members` and `others` are its levels, in the order of the scores. A group of fewer than `minimum` members
    (or non-members) has no rate, and is no part of the comparison.
    """
    groups = _groups(scored, members, others)
    limit = scored.threshold.value
    found: list[Measurement] = []
    rates = {
        "tpr": [_rate(g.name, g.in_M, limit, minimum, "members", len(members)) for g in groups],
        "fpr": [_rate(g.name, g.judges, limit, minimum, "judging non-members", len(others)) for g in groups],
    }
    for name, values in rates.items():
        found += report.groups(
            f"group_{name}", values, "lower" if name == "tpr" else "neither", "clopper1934"
        )
        found.append(report.widest(f"group_{name}_difference", [values], "zou2008"))
    strata = strata_of([rates["tpr"]])
    chance_G = 1 / np.array(strata[0][1], dtype=np.float64)
    found.append(
        report.p_value(
            "group_tpr_p_value", strata, [rates["tpr"]], lambda rates: _widest(np.asarray(rates[0]), chance_G)
        )
    )
    areas = [_area(g, minimum, len(members), len(others)) for g in groups]
    whole = replace(report, where={key: val for key, val in report.where.items() if key != "fpr"})
    found.append(whole.widest("group_auc_difference", [areas], "zou2008"))
    found.append(_auc_test(whole, groups, areas))
    return found


def adjusted(measurements: Sequence[Measurement]) -> list[Measurement]:
    """The same with the p-values of each test adjusted for the number of group columns it was made in."""
    found = list(measurements)
    for metric in dict.fromkeys(m.metric for m in found if m.metric.endswith("_p_value")):
        places = [i for i, m in enumerate(found) if m.metric == metric]
        defined = [i for i in places if found[i].value is not None]
        if len(defined) < 2:
            continue
        corrected = benjamini_hochberg([found[i].value for i in places])
        for i, p in zip(places, corrected, strict=True):
            if p is not None:
                reason = f"{found[i].value:.4g} before it was adjusted for {len(defined)} group columns"
                found[i] = found[i].model_copy(update={"value": p, "reason": reason})
    return found


def auc_gap_p_value(
    groups: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
    *,
    rng: np.random.Generator,
    draws: int,
) -> float:
    """P(the widest gap of the AUC within groups is at least as wide as seen | groups make no difference).

    `groups` are the scores of each one's members and non-members, both at least one.
    """
    every = np.concatenate([side for group in groups for side in group])
    levels_U, rank = np.unique(every, return_inverse=True)
    cuts = np.cumsum([len(side) for group in groups for side in group])[:-1]
    sides = np.split(rank, cuts)
    in_M, out_N = np.concatenate(sides[0::2]), np.concatenate(sides[1::2])
    of_M, of_N = (np.repeat(np.arange(len(groups)), [len(side) for side in sides[i::2]]) for i in (0, 1))
    chance_G = np.array([1 / len(inside) + 1 / len(outside) for inside, outside in groups])

    def widest(of_M: NDArray[np.intp], of_N: NDArray[np.intp]) -> float:
        shape = (len(groups), len(levels_U))
        size = shape[0] * shape[1]
        in_GU = np.bincount(of_M * shape[1] + in_M, minlength=size).reshape(shape)
        out_GU = np.bincount(of_N * shape[1] + out_N, minlength=size).reshape(shape)
        below_GU = np.cumsum(out_GU, axis=1) - out_GU / 2
        areas_G = (in_GU * below_GU).sum(1) / (in_GU.sum(1) * out_GU.sum(1))
        return float(_widest(areas_G, chance_G))

    seen = widest(of_M, of_N)
    as_wide = sum(widest(rng.permutation(of_M), rng.permutation(of_N)) >= seen - 1e-12 for _ in range(draws))
    return (as_wide + 1) / (draws + 1)


def _widest(rates: NDArray[np.float64], chance_G: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest |gap| / √(sum of `chance`) over pairs; rates (…, G), `chance` proportional to variances."""
    first, second = np.triu_indices(len(chance_G), 1)
    gaps = np.abs(rates[..., first] - rates[..., second])
    return np.asarray((gaps / np.sqrt(chance_G[first] + chance_G[second])).max(axis=-1))


def _groups(scored: Scored, members: pl.Series, others: pl.Series) -> list[_Group]:
    inside, outside = members.fill_null(UNKNOWN), others.fill_null(UNKNOWN)
    judging = np.zeros(len(scored.out_N), dtype=bool)
    judging[scored.threshold.judges] = True
    found = []
    for level in Axis.of("group", pl.concat([inside, outside])).levels:
        here = (outside == level).to_numpy()
        found.append(
            _Group(
                level,
                scored.in_M[(inside == level).to_numpy()],
                scored.out_N[here],
                scored.out_N[here & judging],
            )
        )
    return found


def _rate(
    group: str, scores: NDArray[np.float64], limit: float, minimum: int, who: str, pool: int
) -> GroupValue:
    n, above = len(scores), int((scores > limit).sum())
    few = _too_few(n, minimum, who, pool)
    left_out = "not recorded" if few is None and group == UNKNOWN else few
    value = above / n if few is None else None
    return GroupValue(group, value, n, partial(clopper_pearson, above, n), left_out)


def _area(group: _Group, minimum: int, members: int, others: int) -> GroupValue:
    value = area(group.name, group.in_M, group.out_N, minimum=minimum, sides=("members", "non-members"))
    few = _too_few(len(group.in_M), minimum, "members", members)
    few = few or _too_few(len(group.out_N), minimum, "non-members", others)
    return value if few is None else replace(value, value=None, left_out=few)


def _too_few(n: int, minimum: int, who: str, pool: int) -> str | None:
    """None where there are enough; else the pool, of members or non-members, in which there would be."""
    if n >= minimum:
        return None
    text = f"{n} {who} of the pool's {pool}, {minimum} are needed"
    return f"{text}: a pool of about {math.ceil(minimum * pool / n):,}" if n else text


def _auc_test(report: Reporter, groups: Sequence[_Group], areas: Sequence[GroupValue]) -> Measurement:
    name = "group_auc_p_value"
    able = {value.group for value in comparable(areas)}
    if len(able) < 2:
        return report.p_value(name, [], [areas])
    tested = [(group.in_M, group.out_N) for group in groups if group.name in able]
    rng = keyed_rng(report.seed, report.check, report.attribute, name)
    value = auc_gap_p_value(tested, rng=rng, draws=report.draws)
    return report.tested(name, value, sum(len(inside) + len(outside) for inside, outside in tested))
