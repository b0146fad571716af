"""From a finished search to measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from raiaudit.audit.fairness.subgroups.comparison import bounds
from raiaudit.audit.measurement import Measurement

if TYPE_CHECKING:
    from raiaudit.audit.fairness.subgroups.comparison import Bounds
    from raiaudit.audit.fairness.subgroups.search import Finding, Search
    from raiaudit.audit.measurement import Scalar

__all__ = ["Reporter"]


@dataclass(frozen=True, slots=True)
class Reporter:
    """What the measurements of a search share."""

    check: str
    people: int
    confidence: float
    min_support: int
    evidence: tuple[str, ...]

    def measurements(self, found: Search) -> list[Measurement]:
        """How many subgroups were compared; by metric what was confirmed and what cannot be ruled out."""
        measured = [self._looked_at(found)]
        for metric in range(len(found.metrics)):
            measured += [
                self._confirmed(found, metric),
                *self._gaps(found, metric),
                self._worst(found, metric),
            ]
        if "accuracy" in found.metrics:
            measured.append(self._worst_accuracy(found))
        return measured

    def undefined(self, reason: str) -> list[Measurement]:
        """Nothing can be said of these people."""
        return [
            self._measurement("confirmed_subgroups", None, None, "lower", "holm1979", reason, unit="groups")
        ]

    def _looked_at(self, found: Search) -> Measurement:
        lattice, tested = found.lattice, int(found.tested_SM.any(axis=1).sum())
        reason = (
            f"{int(found.tested_SM.sum())} comparisons; left out: {len(lattice) - tested + lattice.too_few} "
            f"subgroups under {self.min_support} people, with their parts, and {lattice.same_people} "
            "that hold the same people as a shorter description"
        )
        return self._measurement(
            "subgroups", float(tested), None, "neither", "benjamini1995", reason, unit="groups"
        )

    def _confirmed(self, found: Search, metric: int) -> Measurement:
        name = found.metrics[metric]
        tested = int(found.tested_SM[:, metric].sum())
        if not tested:
            reason = f"no subgroup has {self.min_support} people to compare, and the rest as many"
            return self._measurement(
                "confirmed_subgroups", None, None, "lower", "holm1979", reason, unit="groups", rate=name
            )
        mine = [finding for finding in found.findings if finding.metric == metric]
        number = sum(finding.confirmed for finding in mine)
        explained = len(found.explained_by[metric])
        reason = (
            f"of {tested} subgroups tested {len(mine) - number} more are suspected and {explained} explained"
        )
        return self._measurement(
            "confirmed_subgroups", float(number), None, "lower", "holm1979", reason, unit="groups", rate=name
        )

    def _gaps(self, found: Search, metric: int) -> list[Measurement]:
        limits = found.confirm.bounds(found.finding_confidence)
        confirmed = [f for f in found.findings if f.metric == metric and f.confirmed]
        measured = [self._gap(found, finding, limits) for finding in confirmed]
        return sorted(measured, key=lambda m: -(m.value or 0.0))

    def _gap(self, found: Search, finding: Finding, limits: Bounds) -> Measurement:
        at = finding.subgroup, finding.metric
        group, rest = found.confirm.values[at], found.confirm.rest_values[at]
        span = sorted((finding.side * float(limits.low[at]), finding.side * float(limits.high[at])))
        return self._measurement(
            "confirmed_gap",
            finding.side * float(found.confirm.gaps[at]),
            (span[0], span[1]),
            "lower",
            "benjamini2005",
            f"{group:.3g} beside {rest:.3g} of everyone else, in the confirming half",
            n=int(found.confirm.group.trials[at]),
            rate=found.metrics[finding.metric],
            subgroup=found.lattice.name(finding.subgroup),
        )

    def _worst(self, found: Search, metric: int) -> Measurement:
        """Of all tested, on all people: they are bounded together, and so is what was not found."""
        name = found.metrics[metric]
        [tested] = np.nonzero(found.tested_SM[:, metric])
        if not len(tested):
            reason = "no subgroup has people enough to compare"
            return self._measurement(
                "worst_subgroup_gap", None, None, "lower", "newcombe1998", reason, rate=name
            )
        low, high = (
            limit[tested, metric] for limit in found.whole.bounds(1 - (1 - self.confidence) / len(tested))
        )
        gap = found.whole.gaps[tested, metric]
        if found.whole.worse_M[metric] == 0:
            low, high, gap = np.maximum(0.0, np.maximum(low, -high)), np.maximum(-low, high), np.abs(gap)
        elif found.whole.worse_M[metric] < 0:
            low, high, gap = -high, -low, -gap
        worst = int(gap.argmax())
        return self._measurement(
            "worst_subgroup_gap",
            float(gap[worst]),
            (float(low.max()), float(high.max())),
            "lower",
            "newcombe1998",
            f"the widest of {len(tested)}, whose intervals hold together",
            n=int(found.whole.group.trials[tested[worst], metric]),
            rate=name,
            subgroup=found.lattice.name(int(tested[worst])),
        )

    def _worst_accuracy(self, found: Search) -> Measurement:
        metric = found.metrics.index("accuracy")
        [tested] = np.nonzero(found.tested_SM[:, metric])
        if not len(tested):
            reason = "no subgroup has people enough to compare"
            return self._measurement("worst_subgroup_accuracy", None, None, "higher", "wilson1927", reason)
        limits = bounds(found.whole.group, 1 - (1 - self.confidence) / len(tested))
        values = found.whole.values[tested, metric]
        worst = int(values.argmin())
        return self._measurement(
            "worst_subgroup_accuracy",
            float(values[worst]),
            (float(limits.low[tested, metric].min()), float(limits.high[tested, metric].min())),
            "higher",
            "wilson1927",
            f"the lowest of {len(tested)}, whose intervals hold together",
            n=int(found.whole.group.trials[tested[worst], metric]),
            subgroup=found.lattice.name(int(tested[worst])),
        )

    def _measurement(
        self,
        metric: str,
        value: float | None,
        limits: tuple[float, float] | None,
        better: Literal["higher", "lower", "neither"],
        method: str,
        reason: str,
        *,
        n: int | None = None,
        unit: str = "",
        **where: Scalar,
    ) -> Measurement:
        low, high = limits if limits else (None, None)
        return Measurement(
            check=self.check,
            metric=metric,
            value=value,
            low=low,
            high=high,
            confidence=self.confidence,
            n=self.people if n is None else n,
            unit=unit,
            better=better,
            where=where,
            method=method,
            reason=reason,
            evidence=self.evidence,
        )
