"""The questions asked of a file of predictions: those checks of fairness that counts alone can answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from raiaudit.audit.catalogue import find_check
from raiaudit.audit.fairness.by_group.findings import groups_findings
from raiaudit.audit.fairness.by_group.groups import GroupsConfig
from raiaudit.audit.fairness.profiles.config import ProfilesConfig
from raiaudit.audit.fairness.profiles.profile_findings import profile_findings
from raiaudit.audit.fairness.subgroups.lattice import MOST_ATTRIBUTES
from raiaudit.audit.fairness.subgroups.subgroups import SubgroupsConfig, subgroup_findings
from raiaudit.audit.plan import PlannedCheck
from raiaudit.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from raiaudit.audit.check import CheckConfig
    from raiaudit.audit.fairness.counting.tally import Tally
    from raiaudit.audit.fairness.findings import Findings
    from raiaudit.audit.fairness.predictions.options import PredictionOptions

__all__ = ["QUESTIONS", "answered", "planned"]


class Question(NamedTuple):
    """`config`: the check's options from the command's, or None where it is not asked; the positive class
    goes by its name. `answer`: (tally, config, seed=) → findings. `obstacle`: why these options cannot be
    answered, if so.
    """

    config: Callable[[PredictionOptions, str | None], CheckConfig | None]
    answer: Callable[..., Findings]
    obstacle: Callable[[PredictionOptions], str | None] = lambda _: None


def _shared(options: PredictionOptions, positive: str | None) -> dict[str, Any]:
    return {
        "columns": options.groups,
        "positive": positive,
        "min_group": options.min_group,
        "confidence": options.confidence,
    }


def _groups(options: PredictionOptions, positive: str | None) -> GroupsConfig:
    return GroupsConfig(**_shared(options, positive), permutations=options.permutations)


def _counts_rows(options: PredictionOptions) -> str | None:
    """A question that counts every row once would be too sure of rows that are not alike, or not apart."""
    if options.weight is None and options.person is None:
        return None
    return "it counts every row once, and these rows have weights or belong to people with several"


def _no_lattice(options: PredictionOptions) -> str | None:
    if len(options.groups) > MOST_ATTRIBUTES:
        return f"{len(options.groups)} columns are more than the {MOST_ATTRIBUTES} that are combined"
    return _counts_rows(options)


def _subgroups(options: PredictionOptions, positive: str | None) -> SubgroupsConfig | None:
    if not options.subgroups or len(options.groups) < 2:
        return None
    return SubgroupsConfig(
        columns=options.groups,
        positive=positive,
        min_support=options.min_group,
        confidence=options.confidence,
    )


def _profiles(options: PredictionOptions, positive: str | None) -> ProfilesConfig | None:
    if not options.profiles:
        return None
    sex, race = options.ll144
    if "nyc_ll144" in options.profiles:
        for name in options.ll144:
            if name not in options.groups:
                raise UnknownNameError("group column", name, options.groups, where="--ll144")
    asked = {
        **_shared(options, positive),
        "profiles": options.profiles,
        "favourable": options.favourable,
        "permutations": options.permutations,
        "ll144": {"sex": sex, "race_ethnicity": race},
    }
    try:
        return ProfilesConfig.model_validate(asked)
    except ValidationError as error:
        problem = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError(problem, where="--profile") from None


QUESTIONS: dict[str, Question] = {
    "fairness.groups": Question(_groups, groups_findings),
    "fairness.subgroups": Question(_subgroups, subgroup_findings, _no_lattice),
    "fairness.profiles": Question(_profiles, profile_findings),
}
"""By the check's id; a gate on a metric that several measure is about the first."""


def planned(options: PredictionOptions, positive: str | None) -> list[PlannedCheck]:
    """The checks that are asked for, with their options, no gates yet."""
    return [
        PlannedCheck(find_check(check), config, (), reason=question.obstacle(options))
        for check, question in QUESTIONS.items()
        if (config := question.config(options, positive)) is not None
    ]


def answered(plan: PlannedCheck, tally: Tally, seed: int) -> Findings:
    """What one check finds in the counts."""
    return QUESTIONS[plan.check.id].answer(tally, plan.config, seed=seed)
