"""The questions asked of a file of predictions: those checks of fairness that counts alone can answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from raiaudit.audit.catalogue import find_check
from raiaudit.audit.fairness.by_group.attribute import measure_attribute, reporter
from raiaudit.audit.fairness.by_group.groups import GroupsConfig, _table
from raiaudit.audit.fairness.findings import Findings
from raiaudit.audit.plan import PlannedCheck

if TYPE_CHECKING:
    from raiaudit.audit.check import CheckConfig
    from raiaudit.audit.fairness.counting.tally import Tally
    from raiaudit.audit.fairness.findings import Findings
    from raiaudit.audit.fairness.predictions.options import PredictionOptions

__all__ = ["QUESTIONS", "answered", "planned"]


class Question(NamedTuple):
    """`config`: the check's options from the command's, or None where it is not asked; the positive class
    goes by its name. `answer`: (tally, config, seed=) → findings.
    """

    config: Callable[[PredictionOptions, str | None], CheckConfig | None]
    answer: Callable[..., Findings]


def _shared(options: PredictionOptions, positive: str | None) -> dict[str, Any]:
    return {
        "columns": options.groups,
        "positive": positive,
        "min_group": options.min_group,
        "confidence": options.confidence,
    }


def _groups(options: PredictionOptions, positive: str | None) -> GroupsConfig:
    return GroupsConfig(**_shared(options, positive), permutations=options.permutations)


def groups_findings(tally: Tally, config: GroupsConfig, *, seed: int) -> Findings:
    found = []
    for attribute in config.columns or tally.attributes:
        report = reporter(
            tally,
            attribute,
            check="fairness.groups",
            confidence=config.confidence,
            seed=seed,
            permutations=config.permutations,
        )
        found += measure_attribute(tally, report, config.min_group)
    import polars as pl

    return Findings(
        found,
        {
            "by_group": _table([m for m in found if "group" in m.where and "reference" not in m.where]),
            "gaps": _table([m for m in found if "reference" in m.where]),
            "counts": pl.concat([tally.cells(a).table(a) for a in tally.attributes]),
        },
    )


QUESTIONS: dict[str, Question] = {
    "fairness.groups": Question(_groups, groups_findings),
}
"""By the check's id; a gate on a metric that several measure is about the first."""


def planned(options: PredictionOptions, positive: str | None) -> list[PlannedCheck]:
    """The checks that are asked for, with their options, no gates yet."""
    configs = {check: question.config(options, positive) for check, question in QUESTIONS.items()}
    return [
        PlannedCheck(find_check(check), config, ()) for check, config in configs.items() if config is not None
    ]


def answered(plan: PlannedCheck, tally: Tally, seed: int) -> Findings:
    """What one check finds in the counts."""
    return QUESTIONS[plan.check.id].answer(tally, plan.config, seed=seed)
