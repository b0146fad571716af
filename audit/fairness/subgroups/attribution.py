"""Which of many overlapping subgroups are the story, and which are only part of it or contain it.

If Black women are served worse, so, by a little, are women, Black people, and Black women of any age.
Findings are therefore picked one after the other, the strongest evidence first. Every candidate that no
longer differs from the others once the findings so far are accounted for is explained by them: by its
ancestor, a descendant, or a group that overlaps. Last, a finding that the others explain is taken back, the
most particular first.

"Accounted for" is the test of Mantel and Haenszel, J. Natl. Cancer Inst. 22 (1959) 719,
doi:10.1093/jnci/22.4.719, with continuity correction: people are divided by the findings they belong to, and
the candidate is compared with the rest within each division. Only groups that name a common attribute
explain each other: that women are more often Black in some data does not make a gap between races one of sex.
Shapes: C cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import log_ndtr

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.fairness.by_group.metrics import Counts
    from raiaudit.audit.fairness.subgroups.lattice import Lattice

__all__ = ["MOST_FINDINGS", "Attribution", "Candidate", "Explainer"]

MOST_FINDINGS = 25
"""Of one metric. A model of which more can be said has no list of findings but a shape."""


class Candidate(NamedTuple):
    """A subgroup that differs from the rest to `side` (−1: less, +1: more)."""

    subgroup: int
    side: int


class Attribution(NamedTuple):
    """`findings`, the strongest first; and of every other candidate the finding that explains it, if any."""

    findings: list[Candidate]
    explained_by: dict[int, int]


@dataclass(frozen=True, slots=True)
class Explainer:
    """The counts (C,) of one metric in the cells of a lattice."""

    lattice: Lattice
    counts_C: Counts

    def attribute(self, candidates: Sequence[Candidate], alpha: float) -> Attribution:
        """Of candidates in order of evidence."""
        findings: list[Candidate] = []
        explained_by: dict[int, int] = {}
        pending = list(candidates)
        while pending and len(findings) < MOST_FINDINGS:
            newest = pending.pop(0)
            findings.append(newest)
            pending = self._unexplained(pending, newest, findings, explained_by, alpha)
        depths = self.lattice.depths
        weakest_first = findings[::-1]
        for finding in sorted(weakest_first, key=lambda f: -int(depths[f.subgroup])):
            others = self.related(finding, findings)
            if others and self.log_p(finding, others) > np.log(alpha):
                findings.remove(finding)
                explained_by[finding.subgroup] = self.closest(finding, others)
        self._settle(candidates, findings, explained_by, alpha)
        return Attribution(findings, explained_by)

    def related(self, candidate: Candidate, findings: Sequence[Candidate]) -> list[int]:
        """The other groups that name one of its attributes."""
        others = [finding.subgroup for finding in findings if finding.subgroup != candidate.subgroup]
        return [other for other in others if self.lattice.akin(candidate.subgroup, other)]

    def log_p(self, candidate: Candidate, others: Sequence[int]) -> float:
        """One-sided: that it differs no more than membership in the others accounts for."""
        strata_C = _divisions(self.lattice, tuple(others))
        inside_C = self.lattice.members(candidate.subgroup)
        (x, n), (k, total) = (
            [np.bincount(strata_C[who], counts[who], strata_C.max() + 1) for counts in self.counts_C]
            for who in (inside_C, slice(None))
        )
        mixed = (n > 0) & (n < total)
        x, n, k, total = (counts[mixed] for counts in (x, n, k, total))
        variance = float((n / total * (total - n) / total * k * (total - k) / (total - 1)).sum())
        if variance == 0:
            return 0.0  # nobody to compare with: the others are all there is to it
        beyond = candidate.side * float((x - n * k / total).sum())
        return float(log_ndtr(-(beyond - 0.5) / np.sqrt(variance)))

    def closest(self, candidate: Candidate, others: Sequence[int]) -> int:
        """The one that shares most with it (an ancestor shares all; the smallest wins), or the first."""
        n_C, inside_C = self.counts_C.trials, self.lattice.members(candidate.subgroup)

        def likeness(other: int) -> tuple[int, int]:
            other_C = self.lattice.members(other)
            shared = int(n_C[inside_C & other_C].sum())
            return shared, -int(n_C[inside_C | other_C].sum()) if shared else 0

        return max(others, key=likeness)

    def _settle(
        self,
        candidates: Sequence[Candidate],
        findings: list[Candidate],
        explained_by: dict[int, int],
        alpha: float,
    ) -> None:
        """What was explained by a finding taken back is explained by the others, or a finding itself."""
        standing = {finding.subgroup for finding in findings}
        for candidate in candidates:
            if explained_by.get(candidate.subgroup, candidate.subgroup) in standing | {candidate.subgroup}:
                continue
            others = self.related(candidate, findings)
            if others and self.log_p(candidate, others) > np.log(alpha):
                explained_by[candidate.subgroup] = self.closest(candidate, others)
            else:
                del explained_by[candidate.subgroup]
                findings.append(candidate)

    def _unexplained(
        self,
        pending: Sequence[Candidate],
        newest: Candidate,
        findings: Sequence[Candidate],
        explained_by: dict[int, int],
        alpha: float,
    ) -> list[Candidate]:
        left = []
        for candidate in pending:
            others = self.related(candidate, findings)
            if newest.subgroup in others and self.log_p(candidate, others) > np.log(alpha):
                explained_by[candidate.subgroup] = self.closest(candidate, others)
            else:
                left.append(candidate)
        return left


@lru_cache(maxsize=4)
def _divisions(lattice: Lattice, others: tuple[int, ...]) -> NDArray[np.int64]:
    """Cells of people who belong to the same ones of `others` share a number, from 0."""
    strata_C = np.zeros(len(lattice.cells_CA), dtype=np.int64)
    for other in others:
        _, strata_C = np.unique(2 * strata_C + lattice.members(other), return_inverse=True)
    return strata_C
