"""Fairness of predictions for one attribute: rates, gaps, differences, impact ratio and their tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from raiaudit.audit.fairness.by_group.comparisons import comparable, smallest_ratio
from raiaudit.audit.fairness.by_group.metrics import DIFFERENCES, RATES, Confusion, Counts, recalls, right
from raiaudit.audit.fairness.by_group.permutation import gap_of_means
from raiaudit.audit.fairness.by_group.reporting import strata_of
from raiaudit.audit.fairness.by_group.values import GroupValue, macro_recall, proportion

if TYPE_CHECKING:
    from raiaudit.audit.fairness.by_group.reporting import Reporter
    from raiaudit.audit.fairness.counting.cells import Cells
    from raiaudit.audit.measurement import Measurement

__all__ = ["accuracy_by_group", "macro_recall_by_group", "rates_by_group", "shared_by_group"]


def shared_by_group(report: Reporter, metric: str, values: Sequence[GroupValue]) -> list[Measurement]:
    """Groups, gaps, `<metric>_difference` and its p-value, of a proportion where higher is better."""
    return [
        *report.groups(metric, values, "higher", "wilson1927"),
        *report.gaps(metric, values, "newcombe1998"),
        report.widest(f"{metric}_difference", [values], "newcombe1998"),
        report.p_value(f"{metric}_p_value", strata_of([values]), [values]),
    ]


def accuracy_by_group(report: Reporter, cells: Cells, minimum: int) -> list[Measurement]:
    """Accuracy, for any number of classes. `cells` has the axes group, label, predicted."""
    values = _proportions(cells.axes[0].levels, right(cells.counts), minimum, "examples")
    return shared_by_group(report, "accuracy", values)


def rates_by_group(report: Reporter, cells: Cells, positive: int, minimum: int) -> list[Measurement]:
    """Everything that needs a positive class."""
    levels = cells.axes[0].levels
    confusion = Confusion.of(cells.counts, positive)
    values = {
        metric: _proportions(levels, rate.counts(confusion), minimum, rate.condition)
        for metric, rate in RATES.items()
    }
    found: list[Measurement] = []
    for metric, rate in RATES.items():
        found += report.groups(metric, values[metric], rate.better, "wilson1927")
    for metric in dict.fromkeys(metric for metrics in DIFFERENCES.values() for metric in metrics):
        found += report.gaps(metric, values[metric], "newcombe1998")
    for name, metrics in DIFFERENCES.items():
        families = [values[metric] for metric in metrics]
        p_value = name.removesuffix("_difference") + "_p_value"
        found.append(report.widest(name, families, "newcombe1998"))
        found.append(report.p_value(p_value, strata_of(families), families))
    return [*found, _impact_ratio(report, values["selection_rate"])]


def _impact_ratio(report: Reporter, rates: Sequence[GroupValue]) -> Measurement:
    """Lowest selection rate over the highest (the ratio of the four-fifths rule, 29 CFR 1607.4(D))."""
    [(selected_G, n_G)] = strata_of([rates])
    groups = [value.group for value in comparable(rates)]
    smallest = smallest_ratio(list(zip(groups, selected_G, n_G, strict=True)), report.confidence)
    undefined = None if any(selected_G) else "no group has an example predicted positive"
    return report.extreme("impact_ratio", smallest, [rates], "higher", "koopman1984", undefined)


def macro_recall_by_group(report: Reporter, cells: Cells, minimum: int) -> list[Measurement]:
    """Mean recall over the classes; its test permutes groups within every label."""
    levels, classes = cells.axes[0].levels, cells.axes[1].levels
    right_GK, n_GK = recalls(cells.counts)
    values = [
        macro_recall(group, right_K.tolist(), n_K.tolist(), classes=classes, minimum=minimum)
        for group, right_K, n_K in zip(levels, right_GK, n_GK, strict=True)
    ]
    able_G = np.array([value.left_out is None for value in values])
    strata = [
        (right_G.tolist(), n_G.tolist())
        for right_G, n_G in zip(right_GK[able_G].T, n_GK[able_G].T, strict=True)
    ]
    return [
        *report.groups("macro_recall", values, "higher", "zou2008"),
        *report.gaps("macro_recall", values, "zou2008"),
        report.widest("macro_recall_difference", [values], "zou2008"),
        report.p_value("macro_recall_p_value", strata, [values], gap_of_means),
    ]


def _proportions(levels: Sequence[str], counts: Counts, minimum: int, condition: str) -> list[GroupValue]:
    rows = zip(levels, counts.successes.tolist(), counts.trials.tolist(), strict=True)
    return [proportion(group, k, n, minimum=minimum, condition=condition) for group, k, n in rows]
