"""Search one half of the people for subgroups that are served worse; confirm the findings on the other.

Search: exact tests of every subgroup with enough support in every metric, at a false discovery rate; what is
significant is reduced to findings (`attribution`). Confirm: each finding is tested again on people who had no
part in choosing it, against the rest and, where other findings are related, beyond what these account for
(the larger p-value counts). Holm's correction bounds the chance of any false confirmation by α however the
tests depend on each other. So nothing rests on the dependence that Benjamini and Hochberg's method assumes.
Gaps come from the confirming half alone, without the search's luck. Intervals of findings have the level
1 − R·α/K for R confirmed of K: Benjamini and Yekutieli's for selected parameters,
doi:10.1198/016214504000001907; of those of confirmed findings an expected share of at most α is wrong.
Shapes: S subgroups, M metrics, C cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from raiaudit.audit.fairness.by_group.metrics import Counts
from raiaudit.audit.fairness.subgroups.attribution import Candidate, Explainer
from raiaudit.audit.fairness.subgroups.comparison import Comparison, adjusted
from raiaudit.audit.fairness.subgroups.lattice import Lattice
from raiaudit.audit.fairness.subgroups.outcomes import rates
from raiaudit.audit.statistics.replicates import holm

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.fairness.subgroups.outcomes import Halves

__all__ = ["MOST_CANDIDATES", "Finding", "Search", "search"]

MOST_CANDIDATES = 1000
"""Of one metric, the strongest; further ones stay unexplained."""


class Finding(NamedTuple):
    """A subgroup that differs in a metric (its index); `p` in the confirming half, and Holm's."""

    subgroup: int
    metric: int
    side: int
    p: float
    p_adjusted: float
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Search:
    """`whole` compares all people, `confirm` those of the second half. `tested_SM` had enough support,
    `large_SM` a gap of at least `min_gap` in the first half.

    `claims` were put to the second half: the findings, and what it showed to be part of a confirmed one.
    `log_q_SM` is NaN where not tested; `log_p_SM` are those of the second half, to the side of the first.
    `explained_by[metric]` maps a subgroup to the finding that accounts for it.
    """

    lattice: Lattice
    metrics: tuple[str, ...]
    whole: Comparison
    confirm: Comparison
    tested_SM: NDArray[np.bool_]
    large_SM: NDArray[np.bool_]
    log_q_SM: NDArray[np.float64]
    log_p_SM: NDArray[np.float64]
    findings: tuple[Finding, ...]
    claims: int
    explained_by: tuple[dict[int, int], ...]
    alpha: float

    @property
    def finding_confidence(self) -> float:
        """The level of findings' intervals."""
        confirmed = sum(finding.confirmed for finding in self.findings)
        return 1 - max(1, confirmed) * self.alpha / max(1, self.claims)


def search(
    halves: Halves,
    metrics: Sequence[str],
    *,
    depth: int,
    min_support: int,
    min_gap: float,
    alpha: float,
    correction: Literal["bh", "by"],
) -> Search:
    """Findings of at least `min_gap`, with `min_support` who meet a metric's condition on either side."""
    lattice = Lattice.of(
        halves.groups, halves.everyone[:, :4].sum(axis=1), depth=depth, min_support=min_support
    )
    whole, first, second = (
        Comparison.of(lattice.counts(counts_CO), counts_CO.sum(axis=0), metrics)
        for counts_CO in (halves.everyone, halves.search_CO, halves.confirm_CO)
    )
    tested_SM = (whole.group.trials >= min_support) & (whole.rest.trials >= min_support)
    log_p_SM, log_q_SM = first.search_log_p(), np.full(tested_SM.shape, np.nan)
    log_q_SM[tested_SM] = adjusted(log_p_SM[tested_SM], correction)
    large_SM = np.nan_to_num(first.gaps) * first.sides >= min_gap
    chosen_SM = (log_q_SM <= np.log(alpha)) & large_SM
    claims: list[_Claim] = []
    explained_by: list[dict[int, int]] = []
    second_log_p_SM = second.log_p(first.sides)
    for metric in range(len(metrics)):
        candidates = _candidates(lattice, chosen_SM[:, metric], log_p_SM[:, metric], first.sides[:, metric])
        searched, confirming = (
            Explainer(lattice, _cells(counts_CO, metrics[metric]))
            for counts_CO in (halves.search_CO, halves.confirm_CO)
        )
        found = searched.attribute(candidates, alpha)
        explained_by.append(found.explained_by)
        for finding in found.findings:
            p, beyond, closest = second_log_p_SM[finding.subgroup, metric], 0.0, None
            if others := searched.related(finding, found.findings):
                beyond, closest = confirming.log_p(finding, others), confirming.closest(finding, others)
                p = max(p, beyond)
            claims.append(
                _Claim(metric, finding, float(np.exp(p)), None if beyond <= np.log(alpha) else closest)
            )
    return Search(
        lattice,
        tuple(metrics),
        whole,
        second,
        tested_SM,
        large_SM,
        log_q_SM,
        second_log_p_SM,
        _judged(claims, explained_by, lattice, alpha),
        len(claims),
        tuple(explained_by),
        alpha,
    )


class _Claim(NamedTuple):
    """`rather` is the finding beyond which the second half shows nothing."""

    metric: int
    candidate: Candidate
    p: float
    rather: int | None


def _judged(
    claims: Sequence[_Claim], explained_by: Sequence[dict[int, int]], lattice: Lattice, alpha: float
) -> tuple[Finding, ...]:
    """What Holm's method confirms; a claim that adds nothing to a confirmed one is explained by it."""
    corrected = [p if p is not None else 1.0 for p in holm([claim.p for claim in claims])]
    confirmed = {
        (c.metric, c.candidate.subgroup) for c, p in zip(claims, corrected, strict=True) if p <= alpha
    }
    findings = []
    for (metric, candidate, p, rather), p_adjusted in zip(claims, corrected, strict=True):
        if p_adjusted > alpha and rather is not None and (metric, rather) in confirmed:
            explained_by[metric][candidate.subgroup] = rather
        else:
            findings.append(
                Finding(candidate.subgroup, metric, candidate.side, p, p_adjusted, p_adjusted <= alpha)
            )
    for explained in explained_by:  # what a claim explained is left to its heir, or to nobody
        heirs = {subgroup: explained.get(by) for subgroup, by in explained.items()}
        for subgroup, heir in heirs.items():
            if heir is not None and lattice.akin(subgroup, heir):
                explained[subgroup] = heir
            elif heir is not None:
                del explained[subgroup]
    return tuple(findings)


def _candidates(
    lattice: Lattice,
    chosen_S: NDArray[np.bool_],
    log_p_S: NDArray[np.float64],
    side_S: NDArray[np.int64],
) -> list[Candidate]:
    """The strongest evidence first; of equals the shorter description, then the smaller group."""
    [chosen] = np.nonzero(chosen_S)
    evidence = np.round(log_p_S[chosen], 6)  # a group and its complement differ in rounding alone
    order = np.lexsort((lattice.people_S[chosen], lattice.depths[chosen], evidence))
    return [Candidate(int(s), int(side_S[s])) for s in chosen[order[:MOST_CANDIDATES]]]


def _cells(counts_CO: NDArray[np.int64], metric: str) -> Counts:
    successes_CM, trials_CM = rates(counts_CO, [metric])
    return Counts(successes_CM[:, 0], trials_CM[:, 0])
