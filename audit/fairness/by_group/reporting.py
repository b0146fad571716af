"""From group values and comparisons to measurements of one attribute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from raiaudit.audit.fairness.by_group.comparisons import comparable, gaps_to_reference, widest_gap
from raiaudit.audit.fairness.by_group.permutation import widest_of_gaps
from raiaudit.audit.fairness.by_group.significance import detectable_gap, group_test
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.statistics.exact import fisher_exact
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.audit.statistics.replicates import holm

if TYPE_CHECKING:
    from raiaudit.audit.fairness.by_group.comparisons import Extreme
    from raiaudit.audit.fairness.by_group.permutation import Statistic, Stratum
    from raiaudit.audit.fairness.by_group.values import GroupValue
    from raiaudit.audit.measurement import Scalar

__all__ = ["Reporter", "explained", "strata_of", "whole"]

_NO_PAIR = "fewer than two groups can be compared"
_NAMED = 10

Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True, slots=True)
class Reporter:
    """Everything measurements of one attribute share; `where` holds further keys (a threat, an attack).

    `tolerance` is the gap for which a measurement of power states the examples needed.
    """

    check: str
    attribute: str
    reference: str
    confidence: float
    seed: int
    draws: int
    evidence: tuple[str, ...]
    where: dict[str, Scalar] = field(default_factory=dict)
    tolerance: float = 0.1

    def groups(
        self, metric: str, values: Sequence[GroupValue], better: Better, method: str, *, unit: str = ""
    ) -> list[Measurement]:
        """`metric` of each group, with its own interval."""
        found = []
        for value in values:
            limits = (None, None) if value.value is None else value.interval(self.confidence)
            found.append(
                self._measurement(
                    metric,
                    value.value,
                    limits,
                    value.n,
                    better,
                    method,
                    value.left_out,
                    unit=unit,
                    group=value.group,
                )
            )
        return found

    def gaps(
        self, metric: str, values: Sequence[GroupValue], method: str, *, unit: str = ""
    ) -> list[Measurement]:
        """`<metric>_gap` of each comparable group against the reference, simultaneous over the groups.

        Of a proportion also `<metric>_gap_p_value`, Fisher's exact test, adjusted for the groups by Holm.
        """
        gaps = gaps_to_reference(values, self.reference, self.confidence)
        found = [
            self._measurement(
                f"{metric}_gap",
                gap.value,
                (gap.low, gap.high),
                gap.n,
                "neither",
                method,
                None,
                unit=unit,
                group=gap.group,
                reference=gap.reference,
            )
            for gap in gaps
        ]
        counts = {value.group: whole(value) for value in values if value.counts is not None}
        if not gaps or self.reference not in counts:
            return found
        plain = [fisher_exact(*counts[gap.group], *counts[self.reference]) for gap in gaps]
        for gap, p, adjusted in zip(gaps, plain, holm(plain), strict=True):
            reason = f"{p:.4g} before it was adjusted for {len(gaps)} groups" if len(gaps) > 1 else None
            found.append(
                self._measurement(
                    f"{metric}_gap_p_value",
                    adjusted,
                    (None, None),
                    gap.n,
                    "neither",
                    "fisher1922",
                    reason,
                    group=gap.group,
                    reference=gap.reference,
                )
            )
        return found

    def detectable(self, metric: str, values: Sequence[GroupValue]) -> Measurement:
        """`minimum_detectable_gap` between the smallest group compared and the reference."""
        if len(comparable(values)) < 2:
            reason, name = explained(_NO_PAIR, [values]), "minimum_detectable_gap"
            return self.undefined(name, "lower", "fleiss2003", reason, rate=metric)
        found = detectable_gap(values, self.reference, confidence=self.confidence, tolerance=self.tolerance)
        return self._measurement(
            "minimum_detectable_gap",
            found.gap,
            (None, None),
            found.n,
            "lower",
            "fleiss2003",
            found.reason,
            rate=metric,
        )

    def widest(
        self, name: str, metrics: Sequence[Sequence[GroupValue]], method: str, *, unit: str = ""
    ) -> Measurement:
        """Max − min over the comparable groups, the largest of `metrics`."""
        return self.extreme(name, widest_gap(metrics, self.confidence), metrics, "lower", method, unit=unit)

    def extreme(
        self,
        name: str,
        extreme: Extreme | None,
        metrics: Sequence[Sequence[GroupValue]],
        better: Better,
        method: str,
        undefined: str | None = None,
        *,
        unit: str = "",
    ) -> Measurement:
        """An extreme over groups; None is undefined for want of two comparable groups, or as `undefined`."""
        n = max(sum(value.n for value in comparable(values)) for values in metrics)
        if extreme is None:
            reason = undefined or explained(_NO_PAIR, metrics)
            return self._measurement(name, None, (None, None), n, better, method, reason, unit=unit)
        reason = explained(f"highest {extreme.highest}, lowest {extreme.lowest}", metrics)
        support = min(value.n for values in metrics for value in comparable(values))
        limits = (extreme.low, extreme.high)
        return self._measurement(
            name, extreme.value, limits, n, better, method, reason, unit=unit, support=support
        )

    def undefined(self, name: str, better: Better, method: str, reason: str, **where: Scalar) -> Measurement:
        """What cannot be known of this model."""
        sliced = replace(self, where={**self.where, **where})
        return sliced._measurement(name, None, (None, None), 0, better, method, reason)

    def valued(
        self,
        name: str,
        value: float,
        limits: tuple[float | None, float | None],
        n: int,
        better: Better,
        method: str,
        reason: str | None = None,
        *,
        unit: str = "",
    ) -> Measurement:
        """A quantity of all groups together."""
        return self._measurement(name, value, limits, n, better, method, reason, unit=unit)

    def p_value(
        self,
        name: str,
        strata: Sequence[Stratum],
        metrics: Sequence[Sequence[GroupValue]],
        statistic: Statistic = widest_of_gaps,
    ) -> Measurement:
        """Exact test that the groups of `metrics` do not differ; one stratum a metric, or a class."""
        n = sum(value.n for values in metrics for value in comparable(values))
        if any(len(comparable(values)) < 2 for values in metrics):
            reason = explained(_NO_PAIR, metrics)
            return self._measurement(name, None, (None, None), n, "neither", "dwass1957", reason)
        rng = keyed_rng(self.seed, self.check, self.attribute, name, *map(str, self.where.values()))
        test = group_test(strata, statistic, rng=rng, draws=self.draws)
        return self.tested(name, test.p, n, test.method, test.note)

    def tested(
        self, name: str, value: float, n: int, method: str = "dwass1957", reason: str | None = None
    ) -> Measurement:
        """The p-value of a permutation test of `n` examples."""
        return self._measurement(name, value, (None, None), n, "neither", method, reason)

    def _measurement(
        self,
        metric: str,
        value: float | None,
        limits: tuple[float | None, float | None],
        n: int,
        better: Better,
        method: str,
        reason: str | None,
        *,
        unit: str = "",
        support: int | None = None,
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
            unit=unit,
            better=better,
            support=support,
            where={"attribute": self.attribute, **where, **self.where},
            method=method,
            reason=reason,
            evidence=self.evidence,
        )


def strata_of(metrics: Sequence[Sequence[GroupValue]]) -> list[Stratum]:
    """Counts behind proportions of comparable groups, one stratum a metric."""
    strata: list[Stratum] = []
    for values in metrics:
        able = [whole(value) for value in comparable(values) if value.value is not None]
        strata.append(([successes for successes, _ in able], [trials for _, trials in able]))
    return strata


def whole(value: GroupValue) -> tuple[int, int]:
    """Successes and trials of a proportion; effective numbers are rounded (Rao and Scott's correction)."""
    successes, trials = value.counts or ((value.value or 0.0) * value.n, value.n)
    n = max(1, round(trials))
    return min(n, round(successes)), n


def explained(text: str, metrics: Sequence[Sequence[GroupValue]]) -> str:
    """`text`, and which groups were left out of the comparison and why: the largest `_NAMED` of them."""
    left_out = {v.group: (v.n, v.left_out) for values in metrics for v in values if v.left_out is not None}
    if not left_out:
        return text
    named = sorted(left_out, key=lambda group: -left_out[group][0])[:_NAMED]
    reasons = [f"{group}: {left_out[group][1]}" for group in left_out if group in named]
    if len(left_out) > len(named):
        reasons.append(f"and {len(left_out) - len(named)} smaller groups")
    return f"{text} ({'; '.join(reasons)})"
