"""The eye on foolbox: every forward an attack of its makes is counted, judged and kept from here.

Shapes: x images B×C×H×W (or vectors B×W), y_B int64; A rows of the batch in work, norms in the units of x.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from raiaudit.attacks import randomness
from raiaudit.attacks.evasion.base import LogitsOf
from raiaudit.attacks.evasion.engine.balls import per_row
from raiaudit.attacks.evasion.engine.region import Region
from raiaudit.attacks.evasion.engine.rules import errs, margin

__all__ = ["Nearest", "StoppedError", "Watch", "find_starts"]

_START_DRAWS = 50
_START_HALVINGS = 10
_CLEAR = 1e-5  # of the largest logit: by how much an error must err, to hold at another batch size
_PUSHES = (0.0, 1e-5, 1e-4, 1e-3, 1e-2)  # of the distance: how far outwards to look for such an error


class StoppedError(Exception):
    """The query budget or the time is spent, or nothing is left to find."""


@dataclass(slots=True)
class Nearest:
    """The closest error found for each example (norm inf: none), and what it cost."""

    x: Tensor
    y_B: Tensor
    ids_B: Tensor
    region: Region
    best: Tensor
    norm_B: Tensor
    forwards_B: Tensor
    backwards_B: Tensor

    def consider(self, rows: Tensor, x: Tensor, logits_AK: Tensor) -> Tensor:
        """Keep what errs closer than before; returns which rows err (bool A)."""
        norm_A = self.region.distance(x, self.x[rows])
        wrong_A = errs(logits_AK, self.y_B[rows])
        keep_A = wrong_A & (norm_A < self.norm_B[rows]) & self.region.valid(x, self.x[rows])
        self.norm_B[rows] = torch.where(keep_A, norm_A, self.norm_B[rows])
        self.best[rows] = torch.where(per_row(keep_A, x), x, self.best[rows])
        return wrong_A

    def confirm(self, classifier: LogitsOf, batch_size: int, budget: int | None) -> None:
        """Classify every error once more, in other company; what does not hold is taken back.

        The nearest error of a good attack errs by a rounding: it is pushed outwards until it errs clearly, as
        far as `budget` allows. One that held, but cannot be pushed, stays.
        """
        failed_B = torch.zeros_like(self.norm_B, dtype=torch.bool)
        moved = (self.norm_B.isfinite() & (self.norm_B > 0)).nonzero().squeeze(1)
        for unsettled in torch.split(moved, max(1, batch_size // 2)):
            for push in _PUSHES:
                rows = unsettled if budget is None else unsettled[self.forwards_B[unsettled] < budget]
                if not len(rows):
                    break
                x = self.x[rows].lerp(self.best[rows], 1 + push).clamp(self.region.low, self.region.high)
                with torch.no_grad():
                    logits_AK = classifier(x)
                self.forwards_B[rows] += 1
                errs_A = errs(logits_AK, self.y_B[rows])
                failed_B[rows] |= ~errs_A if push == 0 else False
                unclear_A = margin(logits_AK, self.y_B[rows]) > -_CLEAR * logits_AK.abs().amax(1)
                settled_A = errs_A & ~unclear_A
                settled = rows[settled_A]
                self.best[settled] = x[settled_A]
                self.norm_B[settled] = self.region.distance(x, self.x[rows])[settled_A]
                failed_B[settled] = False
                unsettled = unsettled[~torch.isin(unsettled, settled)]
        self.norm_B[failed_B] = torch.inf
        self.best[failed_B] = self.x[failed_B]


class Watch(nn.Module):
    """The classifier as foolbox sees it; row i of every batch is an attempt on example `rows[i]`.

    The classifier hides in a closure, so that foolbox cannot move it to another device. Once every row has
    an error at a norm of at most `enough`, there is nothing left to ask.
    """

    def __init__(
        self,
        classifier: LogitsOf,
        tally: Nearest,
        rows: Tensor,
        *,
        budget: int | None,
        deadline: float,
        enough: float,
    ) -> None:
        super().__init__()
        self._logits_of: LogitsOf = lambda x: classifier(x)
        self.tally, self.rows = tally, rows
        self.budget, self.deadline, self.enough = budget, deadline, enough
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """logits_AK; raises `StoppedError` instead of answering what may not be asked any more."""
        assert len(x) == len(self.rows), "foolbox keeps a batch whole"
        spent = int(self.tally.forwards_B[self.rows[0]])
        # The second look at what is found is part of the budget.
        if time.monotonic() > self.deadline or (
            self.budget is not None and spent > 0 and spent + 2 > self.budget
        ):
            raise StoppedError
        self.tally.forwards_B[self.rows] += 1
        # Foolbox's steps leave the box by a rounding; what is asked, and kept, is the point of the box.
        inside = x.detach().clamp(self.tally.region.low, self.tally.region.high)
        logits_AK: Tensor = self._logits_of(x + (inside - x).detach() if x.requires_grad else inside)
        if logits_AK.requires_grad:
            Tensor.register_hook(logits_AK, self._count)  # type: ignore[no-untyped-call]  # torch's own gap
        self.tally.consider(self.rows, inside, logits_AK.detach())
        if bool((self.tally.norm_B[self.rows] <= self.enough).all()):
            raise StoppedError
        return logits_AK

    def _count(self, grad: Tensor) -> None:
        self.tally.backwards_B[self.rows] += 1

    def narrowed(self, keep_A: Tensor) -> Watch:
        """A watch over some of the rows, on the same tally, budget and clock."""
        return Watch(
            self._logits_of,
            self.tally,
            self.rows[keep_A],
            budget=self.budget,
            deadline=self.deadline,
            enough=self.enough,
        )


def find_starts(watch: Watch, *, seed: int, stream: str) -> None:
    """An error for each row where noise of some grain has one, drawn close along the line to the clean input.

    A model gives all fine noise the same one or two classes: an example of that class starts from coarser.
    """
    tally, rows = watch.tally, watch.rows
    x0, region = tally.x[rows], tally.region
    channels, *sides = x0.shape[1:]
    for draw in range(_START_DRAWS):
        grains = [max(1, side >> draw % 4) for side in sides]
        noise = randomness.uniform(
            tally.ids_B[rows], (channels, *grains), seed=seed, stream=f"{stream}/start", draw=draw
        )
        noise = functional.interpolate(noise.to(x0.dtype), size=sides) if sides else noise.to(x0.dtype)
        watch((noise * (region.high - region.low) + region.low).clamp(region.low, region.high))
        if bool(tally.norm_B[rows].isfinite().all()):
            break
    start = tally.best[rows].clone()
    near_A = torch.zeros(len(rows), device=x0.device)
    far_A = torch.ones(len(rows), device=x0.device)
    for _ in range(_START_HALVINGS):
        middle_A = (near_A + far_A) / 2
        wrong_A = errs(watch(x0.lerp(start, per_row(middle_A, x0))), tally.y_B[rows])
        far_A = torch.where(wrong_A, middle_A, far_A)
        near_A = torch.where(wrong_A, near_A, middle_A)
