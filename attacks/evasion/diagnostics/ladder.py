"""One attack of any modality at several radii and with twice the steps.

What breaks at a radius must break at every larger one, and more steps must not change much
(Carlini et al., arXiv:1902.06705). Inputs are whatever the attack takes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from raiaudit.attacks.evasion.base import EvasionAttack, LogitsOf
    from raiaudit.attacks.spaces import InputSpace
    from raiaudit.attacks.threats import ThreatModel

__all__ = ["ladder"]


def ladder(
    attack: EvasionAttack,
    classifier: LogitsOf,
    x: Any,
    y_B: Tensor,
    threat: ThreatModel,
    *,
    space: InputSpace,
    ids_B: Tensor,
    seed: int,
) -> dict[str, Tensor]:
    """Columns of length B: `attack`, `eps_0.5` and `eps_2` are broken (bool), `doubled` is broken by twice
    the steps where the attack failed, for attacks that have steps; `forwards` and `backwards` (int64).

    A share of words (norm l0) cannot exceed 1.
    """

    def run(form: EvasionAttack, factor: float) -> Tensor:
        eps = factor * threat.eps
        reach = replace(threat, eps=min(eps, 1.0) if threat.norm == "l0" else eps)
        result = form(classifier, x, y_B, reach, space=space, seed=seed, ids=ids_B)
        forwards_B.add_(result.forwards_B)
        backwards_B.add_(result.backwards_B)
        return result.broken_B

    forwards_B = torch.zeros_like(y_B)
    backwards_B = forwards_B.clone()
    found = {"eps_0.5": run(attack, 0.5), "attack": run(attack, 1.0), "eps_2": run(attack, 2.0)}
    if (steps := getattr(attack, "steps", None)) is not None:
        longer: EvasionAttack = replace(attack, steps=2 * steps)  # type: ignore[type-var]  # all of ours are dataclasses
        found["doubled"] = run(longer, 1.0) & ~found["attack"]
    return {**found, "forwards": forwards_B, "backwards": backwards_B}
