"""The work of the privacy checks: shadow models are trained by the target's own recipe: that is the cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.audit.forecast.work import Situation, Work
from raiaudit.audit.privacy.inference.membership_attacks import SHADOW_FREE

if TYPE_CHECKING:
    from raiaudit.audit.privacy.epsilon.accounting import AccountingConfig
    from raiaudit.audit.privacy.epsilon.canaries import CanaryConfig
    from raiaudit.audit.privacy.inference.attribute_inference import AttributeInferenceConfig
    from raiaudit.audit.privacy.inference.label_only import LabelOnlyConfig
    from raiaudit.audit.privacy.inference.membership import MembershipConfig
    from raiaudit.audit.privacy.risk.at_risk import AtRiskConfig

__all__ = ["accounting", "at_risk", "attribute_inference", "canaries", "label_only", "membership"]


def _pool(asked: int, at: Situation) -> int:
    """Members and non-members together."""
    trained = at.sizes["train"]
    if at.recipe is not None and at.recipe.train_limit is not None:
        trained = min(trained, at.recipe.train_limit)
    return 2 * min(asked, trained, at.sizes["validation"] + at.sizes["test"])


def membership(config: MembershipConfig, at: Situation) -> Work:
    """The target's answers, and a training for every shadow, of half of the pool and the other rows."""
    points = _pool(config.pool, at) + config.population
    shadows = config.shadows if any(attack not in SHADOW_FREE for attack in config.attack) else 0
    if not shadows or at.recipe is None:
        return Work(forwards=points, seconds=0.1)
    return Work(
        forwards=points * (1 + shadows),
        trainings=shadows,
        seconds=0.1,
        peak=f"membership inference trains {shadows} shadow models",
    )


def label_only(config: LabelOnlyConfig, at: Situation) -> Work:
    """Noisy copies of every example; a search for the nearest error around some."""
    points = _pool(config.pool, at)
    searched = min(points, 2 * config.distance)
    return Work(
        forwards=points * (1 + config.draws * len(config.sigmas)) + searched * config.budget,
        seconds=0.3,
        peak=f"the search asks {config.budget:,} times about {searched} examples" if searched else "",
    )


def attribute_inference(config: AttributeInferenceConfig, at: Situation) -> Work:
    """Every level of every column put in."""
    columns = config.columns or tuple(at.levels)
    points = _pool(config.pool, at)
    levels = sum(at.levels.get(name, 4) for name in columns)
    return Work(forwards=points * levels, seconds=2.0 * len(columns))


def at_risk(config: AtRiskConfig, at: Situation) -> Work:
    """Reads what membership found; the onion trains twice more."""
    if not config.onion:
        return Work(seconds=0.5)
    return Work(trainings=2, seconds=0.5, peak="the onion trains two more models")


def accounting(config: AccountingConfig, at: Situation) -> Work:
    """The accountant, and some steps of the recipe."""
    private = at.recipe is not None and at.recipe.privacy is not None
    return Work(seconds=1.0 if private else 0.05)


def canaries(config: CanaryConfig, at: Situation) -> Work:
    """One more training for each kind."""
    private = at.recipe is not None and at.recipe.privacy is not None
    kinds = len(config.kinds) if config.kinds is not None else 1 + private
    return Work(
        trainings=kinds, seconds=0.5, peak=f"canaries train {kinds} more model{'s' if kinds > 1 else ''}"
    )
