"""What an evasion check is to try on a subject: the attack by its label, the norm, and radii that fit.

Everything here may be asked before any work; nothing loads a tensor library.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raiaudit.attacks.spaces import ImageBox, TokenSpace
from raiaudit.audit.robustness.attack_names import (
    ATTACKS,
    DEFAULT_NORM,
    attack_label,
    caveat,
    choose_attack,
)
from raiaudit.errors import CapabilityError, UsageError

if TYPE_CHECKING:
    from raiaudit.attacks.evasion.base import EvasionAttack
    from raiaudit.attacks.spaces import InputSpace
    from raiaudit.attacks.threats import Norm
    from raiaudit.audit.subject import Subject

__all__ = ["Plan", "build", "refuse_beyond_the_box", "resolve", "surrogate_digest"]


@dataclass(frozen=True, slots=True)
class Plan:
    """`label` names the attack with its version and budget: `autoattack-screen`, `square-budget500`."""

    norm: Norm
    attack: str
    label: str
    options: dict[str, Any]
    budget: int | None

    @property
    def caveat(self) -> str | None:
        """What a report has to say of its numbers."""
        return caveat(self.label)


def resolve(
    subject: Subject,
    *,
    attack: str,
    norm: Norm | None,
    options: dict[str, Any],
    budget: int | None,
    where: str,
) -> Plan:
    """The defaults of the modality filled in.

    Raises `CapabilityError` for an attack on another modality, or one that must know more of the model, and
    `UsageError` for a norm or an option that the attack does not have.
    """
    modality = subject.dataset.modality
    name = choose_attack(attack, modality, subject.capabilities, norm, where=where)
    facts = ATTACKS[name]
    for option in options:
        if option not in facts.options:
            raise UsageError(
                f"attack {name!r} has no option {option!r}",
                where=f"{where} {option}",
                remedy=f"its options are {', '.join(sorted(facts.options))}"
                if facts.options
                else "leave it out",
            )
    chosen = norm or DEFAULT_NORM[modality]
    if chosen not in facts.norms:
        if norm is not None:
            raise UsageError(
                f"attack {name!r} knows the norms {', '.join(sorted(facts.norms))} only, got {norm!r}",
                where=f"{where} norm",
                remedy="choose one of these norms, or another attack",
            )
        chosen = min(facts.norms)
    label = attack_label(name, version=options.get("version"), budget=budget)
    return Plan(chosen, name, label, options, budget)


def refuse_beyond_the_box(space: InputSpace, norm: Norm, radii: tuple[float, ...], *, where: str) -> None:
    """Raises `UsageError` for a radius that reaches farther than any two inputs lie apart."""
    if isinstance(space, TokenSpace):
        if too_many := [eps for eps in radii if eps > 1]:
            raise UsageError(
                f"eps {too_many[-1]:g} is above 1, all the words of a text",
                where=f"{where} eps",
                remedy="give the share of the words that may change: 0.1 is every tenth",
            )
        return
    farthest = _diameter(space, norm)
    beyond = [eps for eps in radii if eps > farthest * (1 + 1e-9)]
    if beyond:
        raise UsageError(
            f"eps {beyond[-1]:g} is above {farthest:g}, the {norm} distance of the two farthest inputs",
            where=f"{where} eps",
            remedy="1 is a turn of 30° and a shift by a tenth of the side"
            if norm == "spatial"
            else "give eps in the units of the inputs the model sees: 8/255, say, for images in [0, 1]",
        )


def _diameter(space: InputSpace, norm: Norm) -> float:
    if not isinstance(space, ImageBox):
        return math.inf  # the costs of a table's columns are free
    size, side = math.prod(space.shape), space.high - space.low
    widths = {
        "linf": side,
        "l2": side * math.sqrt(size),
        "l1": side * size,
        "l0": float(size),
        "spatial": 10.0,  # as in attacks/evasion/images/spatial.py, which would load a tensor library
    }
    return widths[norm]


def surrogate_digest(subject: Subject, reference: str, *, where: str) -> str:
    """The weights digest of a registered model: what a task's key has to know of it.

    Raises `UnknownNameError` for no such version, `UsageError` where there is no registry, and
    `CapabilityError` when it is the audited model itself.
    """
    if subject.registry is None:
        raise UsageError("there is no registry to take the surrogate from", where=f"{where} surrogate")
    digest = subject.registry().find(reference).tags.get("raiaudit.weights", reference)
    if digest == subject.record.weights_digest:
        raise CapabilityError(
            f"the surrogate {reference!r} is the audited model itself",
            where=f"{where} surrogate",
            remedy="name another model, or choose an attack with gradients: pgd, apgd, autoattack",
        )
    return digest


def build(subject: Subject, name: str, options: dict[str, Any]) -> EvasionAttack:
    """The attack with its options; `transfer` with its surrogate on the subject's device."""
    from raiaudit.attacks.evasion import EVASION

    if name != "transfer":
        return EVASION[name](**options)
    from raiaudit.attacks.evasion.images.transfer import Transfer
    from raiaudit.audit.robustness.surrogates import load_surrogate

    assert subject.registry is not None, "`surrogate_digest` was asked before"
    version = load_surrogate(subject.registry(), options["surrogate"], subject.dataset)
    return Transfer(surrogates=[version.classifier.eval().to(subject.device)])
