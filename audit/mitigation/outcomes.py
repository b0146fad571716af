"""What each variant answered about the same people, and the rates that follow from it, by group.

Shapes: N examples, the same and in one order for all variants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from raiaudit.audit.fairness.counting.cells import UNKNOWN
from raiaudit.audit.fairness.counting.rows import OUTCOME, group_column
from raiaudit.audit.studies.metrics import least_of_group

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.studies.cells import Runs

__all__ = ["Outcomes", "Rate", "outcomes_of"]


@dataclass(frozen=True, slots=True)
class Rate:
    """P(event | condition) of one group in one variant, on examples in the order of all variants."""

    event_N: NDArray[np.bool_]

    @property
    def n(self) -> int:
        """Examples that meet the condition."""
        return len(self.event_N)

    @property
    def successes(self) -> int:
        """Those of them with the event."""
        return int(self.event_N.sum())

    @property
    def value(self) -> float:
        """The share; the caller has seen to n > 0."""
        return self.successes / self.n


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Labels and groups of the examples, and each variant's predictions of them.

    `positive` is the class of the selected, None where there is none. Groups with fewer than `minimum`
    examples of a condition are not compared.
    """

    label_N: NDArray[np.int64]
    group_N: NDArray[np.str_]
    predicted: dict[str, NDArray[np.int64]]
    positive: int | None
    minimum: int

    def rates(self, variant: str, metric: str) -> dict[str, Rate]:
        """Group → rate, of the groups that can be compared. Without a positive class only accuracy exists."""
        predicted_N = self.predicted[variant]
        if metric == "accuracy":
            event_N, condition_N = predicted_N == self.label_N, np.ones(len(self.label_N), dtype=bool)
        elif self.positive is None:
            return {}
        else:
            event_N = predicted_N == self.positive
            condition_N = {
                "selection_rate": np.ones(len(self.label_N), dtype=bool),
                "true_positive_rate": self.label_N == self.positive,
                "false_positive_rate": self.label_N != self.positive,
            }[metric]
        found = {}
        for group in np.unique(self.group_N):
            here_N = condition_N & (self.group_N == group)
            if group != UNKNOWN and here_N.sum() >= self.minimum:
                found[str(group)] = Rate(event_N[here_N])
        return found


def outcomes_of(runs: Runs, attribute: str, positive: int | None) -> Outcomes | None:
    """The answers that all runs have; None where `fairness.groups` did not run on every variant."""
    group = group_column(attribute)
    if any(not {group, *OUTCOME} <= set(run.ledger.columns()) for run in runs.values()):
        return None
    tables = {
        name: run.ledger.scan(group, *OUTCOME).drop_nulls(OUTCOME).collect() for name, run in runs.items()
    }
    shared = next(iter(tables.values())).select("example_id").sort("example_id")
    for table in tables.values():
        shared = shared.join(table, on="example_id", how="semi", maintain_order="left")
    kept = {
        name: shared.join(table, on="example_id", maintain_order="left") for name, table in tables.items()
    }
    first = next(iter(kept.values()))
    return Outcomes(
        label_N=first["fairness.label"].to_numpy(),
        group_N=first[group].fill_null(UNKNOWN).to_numpy().astype(str),
        predicted={name: table["fairness.predicted"].to_numpy() for name, table in kept.items()},
        positive=positive,
        minimum=max(least_of_group(run) for run in runs.values()),
    )
