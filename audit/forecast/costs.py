"""The work of every check of ours by name. A check of a plug-in is not here and has no estimate.

The counts follow what the checks do, in examples; how long an example takes is in speeds.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from raiaudit.audit.forecast import costs_explanations as explanations
from raiaudit.audit.forecast import costs_privacy as privacy
from raiaudit.audit.forecast import costs_robustness as robustness
from raiaudit.audit.forecast.work import Situation, Work

if TYPE_CHECKING:
    from raiaudit.audit.check import CheckConfig
    from raiaudit.audit.fairness.counterfactual.counterfactual import CounterfactualConfig

__all__ = ["work_of"]

_SENTENCES = {"templates": 5400, "eec": 8600, "hatecheck": 3300}


def _once(seconds: float) -> Callable[[CheckConfig, Situation], Work]:
    return lambda _config, at: Work(forwards=at.test, seconds=seconds)


def _by_group(seconds: float) -> Callable[[CheckConfig, Situation], Work]:
    return lambda _config, at: Work(forwards=at.test, seconds=seconds * max(1, len(at.levels)))


def _counterfactual(config: CounterfactualConfig, at: Situation) -> Work:
    if at.modality == "text":
        asked = sum(_SENTENCES.get(name, 2 * at.first(config.examples)) for name in config.sources)
        return Work(forwards=asked, seconds=1.0)
    others = sum(levels - 1 for levels in at.levels.values())
    return Work(forwards=at.first(config.examples) * (1 + others), seconds=3.0)


_COSTS: dict[str, Callable[[Any, Situation], Work]] = {
    "performance.accuracy": _once(0.1),
    "reliability.calibration": _once(0.1),
    "robustness.evasion": robustness.evasion,
    "robustness.reliability": robustness.reliability,
    "robustness.corruption": robustness.corruption,
    "robustness.certified": robustness.certified,
    "robustness.character_noise": robustness.character_noise,
    "privacy.membership": privacy.membership,
    "privacy.label_only": privacy.label_only,
    "privacy.attribute_inference": privacy.attribute_inference,
    "privacy.at_risk": privacy.at_risk,
    "privacy.accounting": privacy.accounting,
    "privacy.canaries": privacy.canaries,
    "fairness.groups": _by_group(0.6),
    "fairness.subgroups": _by_group(0.3),
    "fairness.profiles": _by_group(1.5),
    "fairness.counterfactual": _counterfactual,
    "explanations.attribution": explanations.attribution,
    "explanations.concepts": explanations.concepts,
    "explanations.influence": explanations.influence,
    "explanations.stability": explanations.stability,
    "explanations.faithfulness": explanations.faithfulness,
    "explanations.randomisation": explanations.randomisation,
    "explanations.inside": explanations.inside,
}


def work_of(check: str, config: CheckConfig, at: Situation) -> Work | None:
    """The work of a check, or None where nothing is known of it."""
    count = _COSTS.get(check)
    return None if count is None else count(config, at)
