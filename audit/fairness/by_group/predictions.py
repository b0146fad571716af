"""Fairness of predictions for one attribute: rates, gaps, differences, ratios and their tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from raiaudit.audit.fairness.by_group.comparisons import comparable, smallest_of_ratios
from raiaudit.audit.fairness.by_group.metrics import (
    DIFFERENCES,
    MEANS,
    RATES,
    RATIOS,
    Confusion,
    Counts,
    Rate,
    precisions,
    recalls,
    right,
    selected,
)
from raiaudit.audit.fairness.by_group.permutation import gap_of_means
from raiaudit.audit.fairness.by_group.reporting import strata_of
from raiaudit.audit.fairness.by_group.support import group_values, supported
from raiaudit.audit.fairness.by_group.values import GroupValue, macro_recall, mean_of_rates, odds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.fairness.by_group.reporting import Reporter
    from raiaudit.audit.fairness.counting.clusters import Sample
    from raiaudit.audit.measurement import Measurement

__all__ = [
    "accuracy_by_group",
    "class_gaps",
    "macro_averages_by_group",
    "rates_by_group",
    "selection_by_group",
    "shared_by_group",
]

Values = Mapping[str, Sequence[GroupValue]]
_MOST_CLASSES = 20


def shared_by_group(report: Reporter, metric: str, values: Sequence[GroupValue]) -> list[Measurement]:
    """Groups, gaps, `<metric>_difference` and its p-value, of a proportion where higher is better."""
    return [
        *report.groups(metric, values, "higher", "wilson1927"),
        *report.gaps(metric, values, "newcombe1998"),
        report.widest(f"{metric}_difference", [values], "newcombe1998"),
        report.p_value(f"{metric}_p_value", strata_of([values]), [values]),
    ]


def accuracy_by_group(report: Reporter, sample: Sample, minimum: int) -> list[Measurement]:
    """Accuracy, for any number of classes. The cells have the axes group, label, predicted."""
    return shared_by_group(
        report, "accuracy", group_values(sample, right, minimum=minimum, condition="examples")
    )


def selection_by_group(report: Reporter, sample: Sample, positive: int, minimum: int) -> list[Measurement]:
    """What needs no labels: who is selected. The cells have the axes group, predicted."""
    rate = partial(selected, positive=positive)
    values = {
        "selection_rate": group_values(
            sample, rate, minimum=minimum, condition=RATES["selection_rate"].condition
        )
    }
    return [
        *_of_rates(report, values),
        *_compared(report, values, {"demographic_parity_difference": ("selection_rate",)}),
        *_ratios(report, values, {"impact_ratio": ("selection_rate",)}),
    ]


def rates_by_group(report: Reporter, sample: Sample, positive: int, minimum: int) -> list[Measurement]:
    """Everything that needs labels and a positive class."""

    values = {
        metric: group_values(
            sample,
            partial(_against_the_rest, rate=rate, positive=positive),
            minimum=minimum,
            condition=rate.condition,
        )
        for metric, rate in RATES.items()
    }
    found = [*_of_rates(report, values), *_compared(report, values, DIFFERENCES)]
    found += _ratios(report, values, RATIOS)
    odds_of = [odds(value) for value in values["false_negative_share"]]
    found += report.groups("error_ratio", odds_of, "neither", "wilson1927")
    for name, (parts, better) in MEANS.items():
        together = sample.clusters is not None
        rows = zip(*(values[part] for part in parts), strict=True)
        means = [mean_of_rates(row[0].group, row, together=together) for row in rows]
        found += report.groups(name, means, better, "zou2008")
        found += report.gaps(name, means, "zou2008")
        found.append(report.widest(f"{name}_difference", [means], "zou2008"))
    return found


def _against_the_rest(counts: NDArray[Any], rate: Rate, positive: int) -> Counts:
    return rate.counts(Confusion.of(counts, positive))


def _of_rates(report: Reporter, values: Values) -> list[Measurement]:
    found: list[Measurement] = []
    for metric, of_groups in values.items():
        found += report.groups(metric, of_groups, RATES[metric].better, "wilson1927")
    return found


def _compared(
    report: Reporter, values: Values, differences: Mapping[str, tuple[str, ...]]
) -> list[Measurement]:
    found: list[Measurement] = []
    for metric in dict.fromkeys(metric for metrics in differences.values() for metric in metrics):
        found += report.gaps(metric, values[metric], "newcombe1998")
        found.append(report.detectable(metric, values[metric]))
    for name, metrics in differences.items():
        families = [values[metric] for metric in metrics]
        p_value = name.removesuffix("_difference") + "_p_value"
        found.append(report.widest(name, families, "newcombe1998"))
        found.append(report.p_value(p_value, strata_of(families), families))
    return found


def _ratios(report: Reporter, values: Values, ratios: Mapping[str, tuple[str, ...]]) -> list[Measurement]:
    """Lowest over highest rate; undefined where no group has a success: 0/0 is no equality."""
    found = []
    for name, metrics in ratios.items():
        families = [values[metric] for metric in metrics]
        counts = [
            [(value.group, *value.counts) for value in comparable(family) if value.counts]
            for family in families
        ]
        empty = [
            metric for metric, rows in zip(metrics, counts, strict=True) if not any(x for _, x, _ in rows)
        ]
        reason = f"the {empty[0].replace('_', ' ')} is 0 in every group compared" if empty else None
        smallest = smallest_of_ratios(counts, report.confidence)
        found.append(report.extreme(name, smallest, families, "higher", "koopman1984", reason))
    return found


def macro_averages_by_group(report: Reporter, sample: Sample, minimum: int) -> list[Measurement]:
    """Mean recall over the classes, and mean precision; the test permutes groups within every label."""
    values, strata = _macro(sample, recalls, minimum, "examples of class")
    precise, _ = _macro(sample, precisions, minimum, "predictions of class")
    return [
        *report.groups("macro_recall", values, "higher", "zou2008"),
        *report.gaps("macro_recall", values, "zou2008"),
        report.widest("macro_recall_difference", [values], "zou2008"),
        report.p_value("macro_recall_p_value", strata, [values], gap_of_means),
        *report.groups("macro_precision", precise, "higher", "zou2008"),
        report.widest("macro_precision_difference", [precise], "zou2008"),
    ]


def _macro(
    sample: Sample, of_classes: Any, minimum: int, condition: str
) -> tuple[list[GroupValue], list[tuple[list[int], list[int]]]]:
    """The mean over classes by group, and its strata: the classes, in the groups that are compared."""
    levels, classes = sample.cells.axes[0].levels, sample.cells.axes[1].levels

    def of_class(counts: NDArray[Any], k: int) -> Counts:
        return Counts(*(part[..., k] for part in of_classes(counts)))

    supports = [supported(sample, partial(of_class, k=k)) for k in range(len(classes))]
    hits_GK, n_GK = (np.stack(part, axis=1) for part in list(zip(*supports, strict=True))[1:3])
    rows_G = sample.cells.counts.sum((1, 2)).tolist()
    values = [
        macro_recall(
            group,
            hits_K,
            n_K,
            classes=classes,
            minimum=minimum,
            examples=rows,
            condition=condition,
            together=sample.clusters is not None,
        )
        for group, hits_K, n_K, rows in zip(levels, hits_GK.tolist(), n_GK.tolist(), rows_G, strict=True)
    ]
    able_G = np.array([value.left_out is None for value in values])
    whole_n = np.maximum(1, np.rint(n_GK[able_G])).astype(np.int64)
    whole_hits = np.minimum(whole_n, np.rint(hits_GK[able_G])).astype(np.int64)
    strata = [(k.tolist(), n.tolist()) for k, n in zip(whole_hits.T, whole_n.T, strict=True)]
    return values, strata


def class_gaps(report: Reporter, sample: Sample, minimum: int) -> list[Measurement]:
    """Each class against the rest: the widest gaps in how often it is predicted, and found where it is.

    Of more than 20 classes the macro averages speak alone.
    """
    classes = sample.cells.axes[1].levels
    if len(classes) > _MOST_CLASSES:
        return []
    found = []
    for k, name in enumerate(classes):
        sliced = replace(report, where={"class": name})
        for metric in ("selection_rate", "true_positive_rate"):
            rate = RATES[metric]
            condition = "examples" if metric == "selection_rate" else f"examples of class {name}"
            values = group_values(
                sample,
                partial(_against_the_rest, rate=rate, positive=k),
                minimum=minimum,
                condition=condition,
            )
            found.append(sliced.widest(f"{metric}_difference", [values], "newcombe1998"))
    return found
