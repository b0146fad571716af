"""Evasion attacks by name and what each takes, for those who validate a spec without a tensor library.

A test holds this table against `EVASION` in `attacks/evasion/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from raiaudit.audit.check import Capability
from raiaudit.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Collection

    from raiaudit.attacks.threats import Knowledge, Norm

__all__ = [
    "ATTACKS",
    "AUTOATTACK_PARTS",
    "DEFAULT_ATTACK",
    "DEFAULT_NORM",
    "AttackFacts",
    "attack_label",
    "caveat",
    "choose_attack",
    "facts_of",
    "fitting_attacks",
    "knowledge_of",
    "parts_of",
]


@dataclass(frozen=True, slots=True)
class AttackFacts:
    """`norms` it can be asked for; `options` of ours it understands; `minimal`: it looks for the nearest
    adversarial input, so that the distance it finds means something below eps; `knowledge`: the least that
    it must be told of the model.
    """

    modality: str
    norms: frozenset[Norm]
    options: frozenset[str] = frozenset()
    minimal: bool = False
    knowledge: Knowledge = "white"


_L2: frozenset[Norm] = frozenset({"l2"})
_BOTH: frozenset[Norm] = frozenset({"linf", "l2"})
_WORDS: frozenset[Norm] = frozenset({"l0"})
_TABLES: frozenset[Norm] = frozenset({"l1", "linf"})
_PLAIN = frozenset({"precision"})
_STEPS = frozenset({"steps"})
_SEARCH = _STEPS | _PLAIN
_MANY = _SEARCH | {"restarts"}

ATTACKS: dict[str, AttackFacts] = {
    "fgsm": AttackFacts("image", _BOTH, _PLAIN),
    "pgd": AttackFacts("image", _BOTH, _MANY),
    "mi_fgsm": AttackFacts("image", _BOTH, _SEARCH),
    "apgd": AttackFacts("image", _BOTH | {"l1"}, _MANY),
    "autoattack": AttackFacts("image", _BOTH | {"l1"}, _PLAIN | {"version"}),
    "fab": AttackFacts("image", _BOTH | {"l1"}, _MANY, minimal=True),
    "fmn": AttackFacts("image", _BOTH | {"l1", "l0"}, _SEARCH, minimal=True),
    "ddn": AttackFacts("image", _L2, _SEARCH, minimal=True),
    "deepfool": AttackFacts("image", _BOTH, _SEARCH, minimal=True),
    "cw": AttackFacts("image", _L2, _SEARCH, minimal=True),
    "hop_skip_jump": AttackFacts("image", _BOTH, _STEPS, minimal=True, knowledge="label"),
    "boundary": AttackFacts("image", _L2, _STEPS, minimal=True, knowledge="label"),
    "brendel_bethge": AttackFacts("image", _BOTH | {"l1", "l0"}, _STEPS, minimal=True),
    "ead": AttackFacts("image", frozenset({"l1"}), _STEPS, minimal=True),
    "newton_fool": AttackFacts("image", _L2, _STEPS, minimal=True),
    "virtual_adversarial": AttackFacts("image", _L2, _STEPS),
    "gen_attack": AttackFacts("image", frozenset({"linf"}), _STEPS, knowledge="score"),
    "salt_and_pepper": AttackFacts(
        "image", frozenset({"l2", "l1", "l0"}), _STEPS, minimal=True, knowledge="label"
    ),
    "blended_noise": AttackFacts("image", _BOTH | {"l1"}, _STEPS, minimal=True, knowledge="label"),
    "contrast_reduction": AttackFacts("image", _BOTH | {"l1"}, _STEPS, minimal=True, knowledge="label"),
    "inversion": AttackFacts("image", _BOTH | {"l1"}, minimal=True, knowledge="label"),
    "spatial": AttackFacts("image", frozenset({"spatial"}), _STEPS, knowledge="label"),
    "square": AttackFacts("image", _BOTH | {"l1"}, _MANY, knowledge="score"),
    "transfer": AttackFacts("image", _BOTH | {"l1"}, frozenset({"surrogate"}), knowledge="label"),
    "characters": AttackFacts("text", _WORDS, knowledge="score"),
    "hotflip": AttackFacts("text", _WORDS),
    "substitution": AttackFacts("text", _WORDS),
    "table": AttackFacts("tabular", _TABLES, _STEPS | {"restarts"}),
    "projected_table": AttackFacts("tabular", _TABLES, _STEPS | {"restarts"}),
    "greedy_table": AttackFacts("tabular", _TABLES | {"l0"}, knowledge="score"),
}

AUTOATTACK_PARTS = {
    "standard": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "plus": ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"),
    "rand": ("apgd-ce", "apgd-dlr"),
    "screen": ("apgd-ce", "apgd-t"),
}
"""Version → its parts in order."""

DEFAULT_ATTACK = {"image": "pgd", "text": "characters", "tabular": "table"}
DEFAULT_NORM: dict[str, Norm] = {"image": "linf", "text": "l0", "tabular": "l1"}

_FOR_BLACK_BOXES = ("square", "hop_skip_jump", "boundary", "characters", "greedy_table")
"""What `auto` means for a black box: the first of these that it allows."""

_MORE_TELLING: tuple[Knowledge, ...] = ("label", "score", "white")
_NEEDS: dict[Knowledge, str] = {"label": "labels", "score": "scores", "white": "gradients"}


def attack_label(attack: str, *, version: str | None = None, budget: int | None = None) -> str:
    """What columns, measurements and charts call it: "autoattack" alone is the standard version in full.

    `autoattack-screen` is another version, `square-budget500` one whose queries were capped.
    """
    other = "" if version in (None, "standard") else f"-{version}"
    return f"{attack}{other}" + ("" if budget is None else f"-budget{budget}")


def facts_of(label: str) -> AttackFacts:
    """The facts of the attack that a label names."""
    return ATTACKS[label.split("-")[0]]


def parts_of(label: str) -> tuple[str, ...]:
    """The parts of an ensemble, in order; the attack itself for any other."""
    attack, *rest = label.split("-")
    if attack != "autoattack":
        return (attack,)
    return AUTOATTACK_PARTS[rest[0] if rest and rest[0] in AUTOATTACK_PARTS else "standard"]


def caveat(label: str) -> str | None:
    """What has to be said of a number by this attack: below its full budget AutoAttack is something else."""
    attack, *rest = label.split("-")
    below = any(word == "screen" or word.startswith("budget") for word in rest)
    if attack == "autoattack" and below:
        return "below AutoAttack's full budget: not AutoAttack-equivalent"
    return None


def knowledge_of(capabilities: Collection[Capability]) -> Knowledge:
    """What an adversary can learn of a model that can be asked this."""
    if Capability.GRADIENTS in capabilities:
        return "white"
    return "score" if Capability.PROBABILITIES in capabilities else "label"


def fitting_attacks(modality: str, knowledge: Knowledge) -> list[str]:
    """The attacks on such inputs that get by with this knowledge, sorted."""
    told = _MORE_TELLING.index(knowledge)
    return sorted(
        name
        for name, facts in ATTACKS.items()
        if facts.modality == modality and _MORE_TELLING.index(facts.knowledge) <= told
    )


def choose_attack(
    asked: str, modality: str, capabilities: Collection[Capability], norm: Norm | None, *, where: str
) -> str:
    """The attack called `asked`; for "auto" the default for such inputs and such a model.

    Raises `CapabilityError` for an attack on other inputs, or one that must know more of the model.
    """
    knowledge = knowledge_of(capabilities)
    fitting = fitting_attacks(modality, knowledge)
    remedy = f"choose one of: {', '.join(fitting)}" if fitting else "audit the model by its weights (`path`)"
    if asked == "auto":
        if knowledge == "white":
            return DEFAULT_ATTACK[modality]
        able = [name for name in fitting if norm is None or norm in ATTACKS[name].norms]
        for name in _FOR_BLACK_BOXES:
            if name in able:
                return name
        within = "" if norm is None else f" in the norm {norm}"
        problem = (
            f"no attack on {modality} inputs{within} gets by with the {_NEEDS[knowledge]} of a black box"
        )
        raise CapabilityError(problem, where=f"{where} attack", remedy=remedy)
    facts = ATTACKS[asked]
    if facts.modality != modality:
        problem = f"attack {asked!r} is for {facts.modality} inputs, the data are {modality}"
        raise CapabilityError(problem, where=f"{where} attack", remedy=remedy)
    if asked not in fitting:
        problem = (
            f"attack {asked!r} needs {_NEEDS[facts.knowledge]}; the model gives {_NEEDS[knowledge]} alone"
        )
        raise CapabilityError(problem, where=f"{where} attack", remedy=remedy)
    return asked
