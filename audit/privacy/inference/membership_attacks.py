"""The names of the membership attacks, and what each needs before it can say anything.

Shadow-free attacks look at the target alone; `quantile` (arXiv:2307.03694) also learns from what an adversary
knows of known non-members (`knowledge.py`). The others compare with shadow models, with and without the
example; RMIA also holds each example against a population that nobody trained on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from raiaudit.audit.check import Capability

if TYPE_CHECKING:
    from raiaudit.attacks.inference import Signals
    from raiaudit.audit.subject import Subject

__all__ = ["ATTACKS", "RESCORED", "SHADOW_FREE", "Attack", "fewest_shadows", "why_no_score", "why_no_shadows"]

Attack = Literal[
    "loss",
    "confidence",
    "entropy",
    "modified_entropy",
    "quantile",
    "lira",
    "lira_offline",
    "rmia",
    "rmia_offline",
    "base",
    "base_offline",
    "bavaria_t",
    "bavaria_t_offline",
    "bavaria_n",
    "bavaria_n_offline",
]

ATTACKS: tuple[Attack, ...] = get_args(Attack)
SHADOW_FREE: frozenset[Attack] = frozenset({"loss", "confidence", "entropy", "modified_entropy", "quantile"})
RESCORED: frozenset[Attack] = frozenset(ATTACKS) - SHADOW_FREE | {"loss"}
"""What can be asked of another model's φ: the rest need all of that model's answers."""


def fewest_shadows(attack: Attack) -> int:
    """LiRA takes a spread on each side of a point, the others a mean, BaVarIA's prior does with one too."""
    if attack in SHADOW_FREE:
        return 0
    return 4 if attack.startswith("lira") else 2


def why_no_shadows(attack: Attack, subject: Subject, shadows: int) -> str:
    """Why the shadow models this attack needs cannot be had; "" if it needs none, or they can."""
    needed = fewest_shadows(attack)
    if needed and Capability.RETRAINING not in subject.capabilities:
        return f"{attack} needs shadow models, and how this model was trained is not known"
    if shadows < needed:
        side = f"{needed // 2} model{'s' if needed > 2 else ''} on each side"
        return (
            f"with {shadows} shadow models a point does not have the {side}, trained on it and not, "
            f"that {attack} needs: set shadows: {needed} or more"
        )
    return ""


def why_no_score(attack: Attack, signals: Signals) -> str:
    """What is missing in the signals; "" if nothing is that a spec can mend."""
    if attack not in SHADOW_FREE and not len(signals.shadow_phi_MN):
        return f"{attack} needs shadow models, and there are none"
    if attack.startswith("rmia") and signals.population_phi_Z is None:
        return (
            f"{attack} holds examples against a population that nobody trained on, and there is none: "
            "set population: 500, say, on data whose validation split can spare them; base needs none"
        )
    return ""
