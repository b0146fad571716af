"""Evasion attacks by name and what each takes, for those who validate a spec without a tensor library.

A test holds this table against `EVASION` in `attacks/evasion/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raiaudit.attacks.threats import Norm

__all__ = ["ATTACKS", "DEFAULT_ATTACK", "DEFAULT_NORM", "AttackFacts"]


@dataclass(frozen=True, slots=True)
class AttackFacts:
    """`norms` it can be asked for; `options` of ours it understands; `minimal`: it looks for the nearest
    adversarial input, so that the distance it finds means something below eps.
    """

    modality: str
    norms: frozenset[Norm]
    options: frozenset[str] = frozenset()
    minimal: bool = False


_L2: frozenset[Norm] = frozenset({"l2"})
_BOTH: frozenset[Norm] = frozenset({"linf", "l2"})
_WORDS: frozenset[Norm] = frozenset({"l0"})
_STEPS = frozenset({"steps"})

ATTACKS: dict[str, AttackFacts] = {
    "fgsm": AttackFacts("image", _BOTH),
    "pgd": AttackFacts("image", _BOTH, frozenset({"steps", "restarts"})),
    "mi_fgsm": AttackFacts("image", _BOTH, _STEPS),
    "deepfool": AttackFacts("image", _BOTH, _STEPS, minimal=True),
    "cw": AttackFacts("image", _L2, _STEPS, minimal=True),
    "boundary": AttackFacts("image", _L2, _STEPS, minimal=True),
    "brendel_bethge": AttackFacts("image", _L2, _STEPS, minimal=True),
    "characters": AttackFacts("text", _WORDS),
    "hotflip": AttackFacts("text", _WORDS),
    "substitution": AttackFacts("text", _WORDS),
    "table": AttackFacts("tabular", frozenset({"l1", "linf"}), _STEPS | {"restarts"}),
}

DEFAULT_ATTACK = {"image": "pgd", "text": "characters", "tabular": "table"}
DEFAULT_NORM: dict[str, Norm] = {"image": "linf", "text": "l0", "tabular": "l1"}
