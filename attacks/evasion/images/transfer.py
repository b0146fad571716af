"""Transfer: what misleads one model tried on another (arXiv:1605.07277), which is asked once an attempt.

A white-box attack ascends its loss on the surrogates, through all of its steps: an input just beyond a
surrogate's boundary is seldom an error of anything else. Of its iterates within reach the one of the highest
loss is put to the target. Several surrogates are ascended together, by the mean of their logits
(Dong et al., arXiv:1710.06081).

The passes of a result are those of the target alone: the clean look, one for each of the attack's tries, and
the second look at an error.

Shapes: x images B×C×H×W or vectors B×W, y_B int64. Legend: A active rows, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from raiaudit.attacks.evasion import engine
from raiaudit.attacks.evasion.base import AttackResult, LogitsOf, Modality, prepared
from raiaudit.attacks.evasion.engine.balls import per_row
from raiaudit.attacks.evasion.engine.region import Region, region_of
from raiaudit.attacks.evasion.engine.rows import Rows, example_ids
from raiaudit.attacks.evasion.engine.rules import Clean, Rule, Seen, margin
from raiaudit.attacks.evasion.images.apgd import APGD
from raiaudit.attacks.evasion.images.attack import ImageAttack
from raiaudit.attacks.spaces import InputSpace
from raiaudit.attacks.threats import Knowledge, Norm, ThreatModel
from raiaudit.errors import CapabilityError

__all__ = ["Transfer"]


@dataclass(frozen=True, slots=True)
class _Borrowed(Rule):
    """One look at what `rule` made of the surrogates."""

    name: str
    region: Region
    surrogates: Sequence[LogitsOf]
    rule: Rule
    tries: int
    targeted: bool = False
    steps: int = 0

    def start(self, rows: Rows) -> Rows:
        """The iterate of the highest loss on the surrogates."""
        own = self.rule.start(replace(rows, clean_AK=self._logits(rows.x0)))
        best, best_A = rows.x0, torch.full((len(rows),), -torch.inf, device=rows.x0.device)
        for iteration in range(self.rule.steps + 1):
            x = own.x.detach().requires_grad_()
            with torch.enable_grad():
                logits_AK = self._logits(x)
                loss_A = self.rule.loss(logits_AK, own)
            grad = _gradient(loss_A, x)
            seen = Seen(logits_AK.detach(), loss_A.detach(), margin(logits_AK.detach(), own.y_A) < 0, grad)
            better_A = (seen.loss_A > best_A) & self.region.contains(own.x, own.x0)
            best_A = torch.where(better_A, seen.loss_A, best_A)
            best = torch.where(per_row(better_A, best), own.x, best)
            if iteration < self.rule.steps:
                own = self.rule.step(own, seen, iteration)
        return replace(rows, x=best, memory={})

    def needs_gradient(self, iteration: int) -> bool:
        """Never of the target."""
        return False

    def loss(self, logits_AK: Tensor, rows: Rows) -> Tensor:
        """The negative margin, for the record."""
        return -margin(logits_AK, rows.y_A)

    def step(self, rows: Rows, seen: Seen, iteration: int) -> Rows:
        """Never asked for: there are no steps."""
        raise AssertionError

    def _logits(self, x: Tensor) -> Tensor:
        return torch.stack([surrogate(x).float() for surrogate in self.surrogates]).mean(0)


def _gradient(loss_A: Tensor, x: Tensor) -> Tensor:
    if not loss_A.requires_grad:
        raise CapabilityError(
            "a surrogate gives no gradient with respect to its input", remedy="choose another surrogate"
        )
    return torch.autograd.grad(loss_A.sum(), x)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """`attack`, a white-box one that looks for any error within reach, on `surrogates` with equal classes."""

    name: ClassVar[str] = "transfer"
    modality: ClassVar[Modality] = "image"
    knowledge: ClassVar[Knowledge] = "label"

    surrogates: Sequence[LogitsOf]
    attack: ImageAttack = field(default_factory=APGD)
    batch_size: int = 256

    def __post_init__(self) -> None:
        if not self.surrogates:
            raise ValueError("transfer needs a surrogate at least")
        if self.attack.knowledge != "white" or self.attack.closest:
            raise ValueError(f"{self.attack.name!r} does not ascend a loss within reach: choose pgd or apgd")

    @property
    def norms(self) -> frozenset[Norm]:
        """Those of the attack on the surrogates."""
        return self.attack.norms

    def __call__(
        self,
        classifier: LogitsOf,
        x: Tensor,
        y_B: Tensor,
        threat: ThreatModel,
        *,
        space: InputSpace,
        seed: int,
        ids: Sequence[int] | Tensor | None = None,
    ) -> AttackResult:
        """Try every example; `CapabilityError` for a surrogate without gradient, else as any image attack."""
        region = region_of(self, x, y_B, threat, space)
        rules: list[Rule] = [Clean()]
        for rule in self.attack.rules(region, seed=seed) if threat.eps > 0 else ():
            if not isinstance(rule, Clean):
                assert not rule.minimal, "only what stays within reach can be tried"
                rules.append(
                    _Borrowed(self.name, region, self.surrogates, rule, rule.tries, targeted=rule.targeted)
                )
        with ExitStack() as stack:
            for surrogate in self.surrogates:
                stack.enter_context(prepared(surrogate))
            return engine.run(
                rules,
                classifier,
                x,
                y_B,
                region=region,
                ids_B=example_ids(ids, len(x), x.device),
                batch_size=self.batch_size,
                budget=threat.budget,
            )
