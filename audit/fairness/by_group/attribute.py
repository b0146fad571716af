"""All metrics of one attribute of a tally: rates, gaps, differences, ratios, tests and what scores add."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.audit.fairness.by_group.benefits import benefit_inequality
from raiaudit.audit.fairness.by_group.calibration_error import calibration_error_by_group
from raiaudit.audit.fairness.by_group.metrics import DIFFERENCES, MEANS
from raiaudit.audit.fairness.by_group.predictions import (
    accuracy_by_group,
    class_gaps,
    macro_averages_by_group,
    rates_by_group,
    selection_by_group,
)
from raiaudit.audit.fairness.by_group.reporting import Reporter
from raiaudit.audit.fairness.by_group.scores import auc_by_histogram, calibration_by_group, scores_by_group
from raiaudit.audit.fairness.counting.cells import UNKNOWN

if TYPE_CHECKING:
    from raiaudit.audit.fairness.counting.tally import Tally
    from raiaudit.audit.measurement import Measurement

__all__ = ["measure_attribute", "measure_scores", "reporter"]

_MOST_CALIBRATED = 100


def reporter(
    tally: Tally,
    attribute: str,
    *,
    check: str,
    confidence: float,
    seed: int,
    permutations: int,
    evidence: tuple[str, ...] = (),
    tolerance: float = 0.1,
) -> Reporter:
    """What the measurements of `attribute` share; the largest group that is recorded is the reference."""
    groups = tally.selections(attribute).margin("group")
    sizes = dict(zip(groups.axes[0].levels, groups.counts.tolist(), strict=True))
    return Reporter(
        check=check,
        attribute=attribute,
        reference=max(sizes, key=lambda level: (level != UNKNOWN, sizes[level]), default=UNKNOWN),
        confidence=confidence,
        seed=seed,
        draws=permutations,
        evidence=evidence,
        tolerance=tolerance,
    )


def measure_attribute(tally: Tally, report: Reporter, minimum: int) -> list[Measurement]:
    """Accuracy; with a positive class the rates of `metrics.py`; with more than two classes macro averages.

    Without labels selection rates alone, the rest undefined. Groups with fewer than `minimum` examples of a
    rate's condition are reported and not compared.
    """
    sample, positive = tally.sample(report.attribute), tally.positive
    if not tally.labelled:
        return _without_labels(tally, report, minimum)
    found = accuracy_by_group(report, sample, minimum)
    if positive is not None:
        found += rates_by_group(report, sample, positive, minimum)
        found += benefit_inequality(report, sample, positive)
    if len(tally.classes) > 2:
        found += macro_averages_by_group(report, sample, minimum)
        if positive is None:
            found += class_gaps(report, sample, minimum)
    return found


def measure_scores(
    tally: Tally, report: Reporter, minimum: int, *, ordering: bool = True
) -> list[Measurement]:
    """Calibration by group and, with `ordering`, the AUC, from the histogram; undefined without scores.

    The binned calibration error is that of the largest 100 groups, where rows are independent.
    """
    scored_metrics = {"auc_difference": "lower", "calibration_bias_difference": "lower"}
    if tally.scores is None or not tally.labelled or tally.positive is None:
        reason = "no scores were given" if tally.scores is None else "the examples have no labels"
        return [report.undefined(name, "lower", "zou2008", reason) for name in scored_metrics]
    scored = scores_by_group(tally, report.attribute)
    found = auc_by_histogram(report, scored, minimum) if ordering else []
    found += calibration_by_group(report, scored, minimum)
    if not tally.weighted and tally.clusters is None:
        largest = sorted(scored, key=lambda each: -each.positives - each.negatives)[:_MOST_CALIBRATED]
        shown = [each for each in scored if each in largest]
        found += calibration_error_by_group(report, shown, minimum)
    return found


def _without_labels(tally: Tally, report: Reporter, minimum: int) -> list[Measurement]:
    reason = "the examples have no labels"
    names = ["accuracy_difference", *DIFFERENCES, *(f"{name}_difference" for name in MEANS)]
    names.remove("demographic_parity_difference")
    found = [report.undefined(name, "lower", "newcombe1998", reason) for name in names]
    if tally.positive is None:
        reason = "no labels, and no class is named that counts as selected"
        return [*found, report.undefined("demographic_parity_difference", "lower", "newcombe1998", reason)]
    return [*selection_by_group(report, tally.sample(report.attribute), tally.positive, minimum), *found]
