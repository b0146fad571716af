"""From group values and comparisons to measurements of one attribute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from raiaudit.audit.fairness.by_group.comparisons import comparable, gaps_to_reference, widest_gap
from raiaudit.audit.fairness.by_group.permutation import permutation_p_value, widest_of_gaps
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.statistics.keyed import keyed_rng

if TYPE_CHECKING:
    from raiaudit.audit.fairness.by_group.comparisons import Extreme
    from raiaudit.audit.fairness.by_group.permutation import Statistic, Stratum
    from raiaudit.audit.fairness.by_group.values import GroupValue
    from raiaudit.audit.measurement import Scalar

__all__ = ["Reporter", "explained", "strata_of"]

_NO_PAIR = "fewer than two groups can be compared"

Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True, slots=True)
class Reporter:
    """Everything measurements of one attribute share; `where` holds further keys (a threat, an attack)."""

    check: str
    attribute: str
    reference: str
    confidence: float
    seed: int
    draws: int
    evidence: tuple[str, ...]
    where: dict[str, Scalar] = field(default_factory=dict)

    def groups(
        self, metric: str, values: Sequence[GroupValue], better: Better, method: str
    ) -> list[Measurement]:
        """`metric` of each group, with its own interval."""
        found = []
        for value in values:
            limits = (None, None) if value.value is None else value.interval(self.confidence)
            found.append(
                self._measurement(
                    metric, value.value, limits, value.n, better, method, value.left_out, group=value.group
                )
            )
        return found

    def gaps(self, metric: str, values: Sequence[GroupValue], method: str) -> list[Measurement]:
        """`<metric>_gap` of each comparable group against the reference, simultaneous over the groups."""
        return [
            self._measurement(
                f"{metric}_gap",
                gap.value,
                (gap.low, gap.high),
                gap.n,
                "neither",
                method,
                None,
                group=gap.group,
                reference=gap.reference,
            )
            for gap in gaps_to_reference(values, self.reference, self.confidence)
        ]

    def widest(self, name: str, metrics: Sequence[Sequence[GroupValue]], method: str) -> Measurement:
        """Max − min over the comparable groups, the largest of `metrics`."""
        return self.extreme(name, widest_gap(metrics, self.confidence), metrics, "lower", method)

    def extreme(
        self,
        name: str,
        extreme: Extreme | None,
        metrics: Sequence[Sequence[GroupValue]],
        better: Better,
        method: str,
        undefined: str | None = None,
    ) -> Measurement:
        """An extreme over groups; None is undefined for want of two comparable groups, or as `undefined`."""
        n = max(sum(value.n for value in comparable(values)) for values in metrics)
        if extreme is None:
            reason = undefined or explained(_NO_PAIR, metrics)
            return self._measurement(name, None, (None, None), n, better, method, reason)
        reason = explained(f"highest {extreme.highest}, lowest {extreme.lowest}", metrics)
        return self._measurement(name, extreme.value, (extreme.low, extreme.high), n, better, method, reason)

    def undefined(self, name: str, better: Better, method: str, reason: str) -> Measurement:
        """What cannot be known of this model."""
        return self._measurement(name, None, (None, None), 0, better, method, reason)

    def p_value(
        self,
        name: str,
        strata: Sequence[Stratum],
        metrics: Sequence[Sequence[GroupValue]],
        statistic: Statistic = widest_of_gaps,
    ) -> Measurement:
        """Permutation test that the groups of `metrics` do not differ; one stratum a metric, or a class."""
        n = sum(sum(trials_G) for _, trials_G in strata)
        if any(len(comparable(values)) < 2 for values in metrics):
            reason = explained(_NO_PAIR, metrics)
            return self._measurement(name, None, (None, None), n, "neither", "dwass1957", reason)
        rng = keyed_rng(self.seed, self.check, self.attribute, name, *map(str, self.where.values()))
        return self.tested(
            name, permutation_p_value(strata, rng=rng, draws=self.draws, statistic=statistic), n
        )

    def tested(self, name: str, value: float, n: int) -> Measurement:
        """The p-value of a permutation test of `n` examples that was made elsewhere."""
        return self._measurement(name, value, (None, None), n, "neither", "dwass1957", None)

    def _measurement(
        self,
        metric: str,
        value: float | None,
        limits: tuple[float | None, float | None],
        n: int,
        better: Better,
        method: str,
        reason: str | None,
        **where: Scalar,
    ) -> Measurement:
        return Measurement(
            check=self.check,
            metric=metric,
            value=value,
            low=limits[0],
            high=limits[1],
            confidence=self.confidence,
            n=n,
            better=better,
            where={"attribute": self.attribute, **where, **self.where},
            method=method,
            reason=reason,
            evidence=self.evidence,
        )


def strata_of(metrics: Sequence[Sequence[GroupValue]]) -> list[Stratum]:
    """Counts behind proportions of comparable groups, one stratum a metric."""
    strata: list[Stratum] = []
    for values in metrics:
        able = [value for value in comparable(values) if value.value is not None]
        strata.append(([round((v.value or 0.0) * v.n) for v in able], [v.n for v in able]))
    return strata


def explained(text: str, metrics: Sequence[Sequence[GroupValue]]) -> str:
    """`text`, and which groups were left out of the comparison and why."""
    left_out = {v.group: v.left_out for values in metrics for v in values if v.left_out is not None}
    reasons = "; ".join(f"{group}: {reason}" for group, reason in left_out.items())
    return f"{text} ({reasons})" if reasons else text
