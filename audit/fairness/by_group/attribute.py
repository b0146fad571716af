"""All count metrics of one attribute of a tally: rates, gaps, differences, the impact ratio and tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.audit.fairness.by_group.predictions import (
    accuracy_by_group,
    macro_recall_by_group,
    rates_by_group,
)
from raiaudit.audit.fairness.by_group.reporting import Reporter
from raiaudit.audit.fairness.counting.cells import UNKNOWN

if TYPE_CHECKING:
    from raiaudit.audit.fairness.counting.tally import Tally
    from raiaudit.audit.measurement import Measurement

__all__ = ["measure_attribute", "reporter"]


def reporter(
    tally: Tally,
    attribute: str,
    *,
    check: str,
    confidence: float,
    seed: int,
    permutations: int,
    evidence: tuple[str, ...] = (),
) -> Reporter:
    """What the measurements of `attribute` share; the largest group that is recorded is the reference."""
    groups = tally.selections(attribute).margin("group")
    sizes = dict(zip(groups.axes[0].levels, groups.counts.tolist(), strict=True))
    return Reporter(
        check=check,
        attribute=attribute,
        reference=max(sizes, key=lambda level: (level != UNKNOWN, sizes[level])),
        confidence=confidence,
        seed=seed,
        draws=permutations,
        evidence=evidence,
    )


def measure_attribute(tally: Tally, report: Reporter, minimum: int) -> list[Measurement]:
    """Accuracy; with a positive class the rates of `metrics.py`; with more than two classes macro recall.

    Groups with fewer than `minimum` examples of a rate's condition are reported and not compared.
    """
    cells = tally.cells(report.attribute)
    found = accuracy_by_group(report, cells, minimum)
    if tally.positive is not None:
        found += rates_by_group(report, cells, tally.positive, minimum)
    if len(tally.classes) > 2:
        found += macro_recall_by_group(report, cells, minimum)
    return found
