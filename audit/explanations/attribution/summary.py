"""Measurements of `explanations.attribution`: pure functions of its ledger columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from raiaudit.attacks.spaces import TableSchema
from raiaudit.audit.explanations.attribution.aggregation import compare_groups
from raiaudit.audit.explanations.attribution.reading import (
    CHECK,
    column_shares,
    groupings,
    judged_rows,
    left_out,
)
from raiaudit.audit.explanations.methods import find_method
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.statistics.intervals import mean_bootstrap
from raiaudit.audit.statistics.keyed import keyed_rng

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.explanations.attribution.attribution import AttributionConfig
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.measurement import Scalar
    from raiaudit.audit.subject import Subject

__all__ = ["measurements"]


def measurements(ledger: LedgerReader, subject: Subject, config: AttributionConfig) -> list[Measurement]:
    """Of every method asked for; with several, `where` names the method."""
    found: list[Measurement] = []
    null = ledger.scan("attribution.random").drop_nulls().collect()["attribution.random"].to_numpy()
    for name in config.methods:
        report = _Report(subject, name, {"method": name} if len(config.methods) > 1 else {})
        rows, refused = judged_rows(ledger, subject, name)
        if refused is not None:
            found.append(report.undefined("deletion_gain", "higher", refused))
            continue
        report.left_out = left_out(ledger, name)
        deletion, insertion, random = (rows[what].to_numpy() for what in ("deletion", "insertion", "random"))
        found += [
            report.mean("deletion_gain", random - deletion, "higher", "deletion"),
            report.mean("insertion_gain", insertion - random, "higher", "insertion"),
            report.mean("deletion_auc", deletion, "lower", "deletion"),
            report.mean("insertion_auc", insertion, "higher", "insertion"),
        ]
        error = rows["completeness_error"].drop_nulls().to_numpy()
        if len(error):
            found += [
                report.completeness("median", float(np.median(error)), len(error)),
                report.completeness("max", float(error.max()), len(error)),
            ]
        found += _of_groups(ledger, subject, config, report)
    if len(null):
        found.append(_Report(subject, "", {}).mean("random_auc", null, "neither"))
    return found


class _Report:
    """Measurements of one method; `where` names it where there are several."""

    def __init__(self, subject: Subject, method: str, where: dict[str, Scalar]) -> None:
        self.subject = subject
        self.method = method
        self.where = where
        self.left_out: str | None = None

    def mean(
        self, metric: str, values: NDArray[np.float64], better: Any, *used: str, method: str = "petsiuk2018"
    ) -> Measurement:
        """A mean with its bootstrap interval."""
        rng = keyed_rng(self.subject.seed, CHECK, metric)
        low, high = mean_bootstrap(values, rng=rng) if len(values) > 1 else (None, None)
        return Measurement(
            check=CHECK,
            metric=metric,
            value=float(values.mean()),
            low=low,
            high=high,
            n=len(values),
            better=better,
            where=self.where,
            method=method,
            reason=self.left_out,
            evidence=("attribution.random", *(f"attribution.{self.method}.{name}" for name in used)),
        )

    def completeness(self, statistic: Literal["median", "max"], value: float, n: int) -> Measurement:
        return Measurement(
            check=CHECK,
            metric="completeness_error",
            value=value,
            n=n,
            better="lower",
            where={**self.where, "statistic": statistic},
            method=find_method(self.method).citation,
            evidence=(f"attribution.{self.method}.completeness_error",),
        )

    def undefined(
        self, metric: str, better: Literal["higher", "lower", "neither"], reason: str
    ) -> Measurement:
        return Measurement(
            check=CHECK,
            metric=metric,
            value=None,
            n=0,
            better=better,
            where=self.where,
            method=find_method(self.method).citation,
            reason=reason,
        )


def _of_groups(
    ledger: LedgerReader, subject: Subject, config: AttributionConfig, report: _Report
) -> list[Measurement]:
    """Of a table: how much of the attribution is on sensitive columns, and whether groups differ in it."""
    space = subject.dataset.space
    if not isinstance(space, TableSchema):
        return []
    rows, share_NF = column_shares(ledger, report.method)
    watched = [*subject.dataset.group_names, *config.proxies]
    columns = [at for at, column in enumerate(space.columns) if column.name in watched]
    if not rows.height:
        reason = "every map is zero in every column, so there is nothing to share"
        return [report.undefined("sensitive_attribution_share", "lower", reason)]
    found = []
    if columns:
        share_N = share_NF[:, columns].sum(axis=1)
        found.append(
            report.mean("sensitive_attribution_share", share_N, "lower", "profile", method="efron1987")
        )
    else:
        reason = "no group column is a column that the model reads, and no proxies are named"
        found.append(report.undefined("sensitive_attribution_share", "lower", reason))
    for title, group_N, kept, _ in groupings(subject, rows, config.min_group):
        if group_N.max(initial=0) < 1:
            continue
        rng = keyed_rng(subject.seed, CHECK, "groups", title)
        compared = compare_groups(share_NF[kept], group_N, rng=rng, draws=config.permutations)
        for metric, value, better in (
            ("attribution_distance", compared.distance, "lower"),
            ("attribution_distance_p_value", compared.p, "neither"),
        ):
            found.append(
                Measurement(
                    check=CHECK,
                    metric=metric,
                    value=value,
                    n=len(group_N),
                    better=better,  # type: ignore[arg-type]  # a literal of the tuple above
                    where={**report.where, "attribute": title},
                    method="dwass1957",
                    evidence=(f"attribution.{report.method}.profile",),
                    support=compared.smallest,
                )
            )
    return found
