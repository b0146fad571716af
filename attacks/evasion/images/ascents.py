"""What the two forms of Auto-PGD share: the objective they ascend and the memory of the best point so far.

Legend: A active rows, K classes, … the shape of one input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from raiaudit.attacks.evasion.engine.balls import per_row
from raiaudit.attacks.evasion.engine.region import Region
from raiaudit.attacks.evasion.engine.rows import Rows
from raiaudit.attacks.evasion.engine.rules import Rule, Seen
from raiaudit.attacks.evasion.images.losses import cross_entropy, dlr, targeted_dlr

__all__ = ["AscentRule", "Objective", "fresh_memory", "remembered", "target_classes"]

Objective = Literal["ce", "dlr", "targeted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AscentRule(Rule):
    """`steps` steps for each try; a try is a start keyed by `seed`, and for "targeted" a class as well."""

    name: str
    region: Region
    steps: int
    objective: Objective
    tries: int
    seed: int

    @property
    def targeted(self) -> bool:  # type: ignore[override]  # read-only, as all of a frozen rule
        """Whether the tries are target classes."""
        return self.objective == "targeted"

    def loss(self, logits_AK: Tensor, rows: Rows) -> Tensor:
        """The objective, loss_A."""
        if self.objective == "targeted":
            return targeted_dlr(logits_AK, rows.y_A, rows.memory["target"])
        return (cross_entropy if self.objective == "ce" else dlr)(logits_AK, rows.y_A)


def target_classes(rows: Rows) -> Tensor:
    """target_A: of the classes that are not the label, the one whose clean logit ranks `try_A`-th."""
    others_AK = rows.clean_AK.scatter(1, rows.y_A[:, None], -torch.inf)
    ranked_AK = others_AK.argsort(dim=1, descending=True, stable=True)
    return ranked_AK.gather(1, rows.try_A[:, None]).squeeze(1)


def fresh_memory(rule: AscentRule, rows: Rows, x: Tensor) -> dict[str, Tensor]:
    """Nothing seen yet: `best`, `best_grad`, `best_loss`, and the target where there is one."""
    nothing_A = torch.full_like(rows.y_A, -torch.inf, dtype=x.dtype)
    memory = {"best": x, "best_grad": torch.zeros_like(x), "best_loss": nothing_A}
    return memory | ({"target": target_classes(rows)} if rule.targeted else {})


def remembered(rows: Rows, seen: Seen) -> dict[str, Tensor]:
    """The memory with the best point brought up to date."""
    assert seen.grad is not None
    memory = dict(rows.memory)
    better_A = seen.loss_A > memory["best_loss"]
    better = per_row(better_A, rows.x)
    memory["best"] = torch.where(better, rows.x, memory["best"])
    memory["best_grad"] = torch.where(better, seen.grad, memory["best_grad"])
    memory["best_loss"] = torch.where(better_A, seen.loss_A, memory["best_loss"])
    return memory
