"""Auto-PGD in L1 (Croce & Hein, "Mind the box", arXiv:2103.01208).

A step goes along the sign of the gradient's largest entries only, as many as the best perturbation so far
suggests, and is projected onto ball and box at once. The radius comes down to eps in three phases of
3·eps, 2·eps and eps (30, 30 and 40 % of the steps), each from the best point of the one before; what the
first two find counts only within eps.

Shapes: x images B×C×H×W or vectors B×W. Legend: A active rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from raiaudit.attacks.evasion.engine.balls import per_row
from raiaudit.attacks.evasion.engine.region import Region
from raiaudit.attacks.evasion.engine.rows import Rows
from raiaudit.attacks.evasion.engine.rules import Seen
from raiaudit.attacks.evasion.images.ascents import AscentRule, fresh_memory, remembered

__all__ = ["SparseAutoPGD"]

_PHASES = ((0.3, 3.0), (0.3, 2.0), (0.4, 1.0))  # share of the steps, radius in units of eps
_FIRST_SHARE = 0.2  # of the entries, in the first steps of a phase
_LOOK_EVERY = 0.04  # of the phase's steps
_SPARSER = 0.95  # a perturbation that lost more of its entries than this starts again with long steps
_SHORTER, _SHORTEST = 1.5, 10.0  # a step's division otherwise, and at most


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseAutoPGD(AscentRule):
    """The rule: three phases for each try."""

    @property
    def minimal(self) -> bool:  # type: ignore[override]  # read-only, as all of a frozen rule
        """The first phases leave the region."""
        return True

    def start(self, rows: Rows) -> Rows:
        """A uniform point of the widest ball."""
        wide = self._regions()[0][1]
        x = wide.random(rows.x0, rows.ids_A, rows.try_A, seed=self.seed, stream=self.name)
        return self._phase(replace(rows, x=x, memory=fresh_memory(self, rows, x)), wide)

    def step(self, rows: Rows, seen: Seen, iteration: int) -> Rows:
        """Move within the phase's ball, or enter the next phase from the best point."""
        assert seen.grad is not None
        memory = remembered(rows, seen)
        begins, region, length = self._phase_at(iteration)
        done = iteration - begins
        if done == length - 1 and iteration + 1 < self.steps:
            after = self._phase_at(iteration + 1)[1]
            x = after.project(memory["best"], rows.x0)
            return self._phase(replace(rows, x=x, memory=memory), after)
        x, grad = rows.x, seen.grad
        if done and done % max(int(_LOOK_EVERY * length), 1) == 0:
            back_A = _looked_at(memory, rows.x0, region.eps)
            x = torch.where(per_row(back_A, x), memory["best"], x)
            grad = torch.where(per_row(back_A, x), memory["best_grad"], grad)
        direction = _steepest(grad, memory["share"])
        moved = region.project(direction * per_row(memory["step"], x) + x, rows.x0)
        return replace(rows, x=moved, memory=memory)

    def _regions(self) -> list[tuple[int, Region, int]]:
        """(first iteration, region, steps) of each phase."""
        lengths = [int(share * self.steps) for share, _ in _PHASES[:-1]]
        lengths.append(self.steps - sum(lengths))
        begins = [sum(lengths[:number]) for number in range(len(lengths))]
        radii = [replace(self.region, eps=factor * self.region.eps) for _, factor in _PHASES]
        return [phase for phase in zip(begins, radii, lengths, strict=True) if phase[2]]

    def _phase_at(self, iteration: int) -> tuple[int, Region, int]:
        return [phase for phase in self._regions() if phase[0] <= iteration][-1]

    def _phase(self, rows: Rows, region: Region) -> Rows:
        """The rows at the beginning of a phase: nothing seen in this ball, long and fairly sparse steps."""
        like_A = rows.memory["best_loss"]
        memory = rows.memory | {
            "best": rows.x,
            "best_grad": torch.zeros_like(rows.x),
            "best_loss": torch.full_like(like_A, -torch.inf),
            "share": torch.full_like(like_A, _FIRST_SHARE),
            "step": torch.full_like(like_A, region.eps),
            "entries": torch.full_like(like_A, float(rows.x0[0].numel())),
        }
        return replace(rows, memory=memory)


def _looked_at(memory: dict[str, Tensor], x0: Tensor, eps: float) -> Tensor:
    """Sets sparsity and step size anew; returns which rows go back to their best point (bool A)."""
    entries_A = (memory["best"] != x0).flatten(1).sum(1).to(memory["step"].dtype)
    sparser_A = entries_A < _SPARSER * memory["entries"]
    shorter_A = (memory["step"] / _SHORTER).clamp_min(eps / _SHORTEST)
    memory["step"] = torch.where(sparser_A, torch.full_like(shorter_A, eps), shorter_A)
    memory["share"] = entries_A / x0[0].numel() / _SHORTER
    memory["entries"] = entries_A
    return sparser_A


def _steepest(grad: Tensor, share_A: Tensor) -> Tensor:
    """Signs of the largest `share_A` of each row's entries, divided to an L1 norm of 1."""
    flat = grad.nan_to_num(nan=0.0).flatten(1)
    size = flat.abs()
    width = flat.shape[1]
    count_A1 = (share_A * width).long().clamp(1, width)[:, None]
    least_A1 = size.sort(dim=1, descending=True).values.gather(1, count_A1 - 1)
    signs = flat.sign() * (size >= least_A1)
    return (signs / signs.abs().sum(1, keepdim=True).clamp_min(1)).view_as(grad)
