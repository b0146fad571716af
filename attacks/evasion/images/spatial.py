"""Rotation and translation: the smallest turn and shift that make a model err (arXiv:1712.02779).

The threat is its own norm, "spatial": a rotation by a and a shift by (u, v) have the size
max(|a| / 30°, |u| / 0.1·W, |v| / 0.1·H), so that eps = 1 allows the paper's full range and no norm of pixel
differences, large as they are, is given out as a budget. A fixed grid over the three (the paper's, finer) is
searched from the smallest size up, on what still stands, with labels alone; so a larger eps never finds less.
A pixel moved in from outside the image is the lower bound of the box; between pixels values are bilinear.

Shapes: x images B×C×H×W, y_B int64; A rows in work.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from raiaudit.attacks.evasion.base import AttackResult, LogitsOf, Modality, prepared
from raiaudit.attacks.evasion.engine.region import checked
from raiaudit.attacks.evasion.engine.rules import errs
from raiaudit.attacks.spaces import InputSpace
from raiaudit.attacks.threats import Knowledge, Norm, ThreatModel
from raiaudit.errors import UsageError

__all__ = ["FARTHEST", "ROTATION", "SHIFT", "Spatial", "moved"]

ROTATION = math.pi / 6
"""The rotation, in radians, that has size 1."""
SHIFT = 0.1
"""The shift, as a share of the image's side, that has size 1."""

FARTHEST = 1 / SHIFT
"""The size beyond which nothing new comes: a turn of 180° has size 6, and the image shifted by its side is
gone."""

_ROUNDING = 1e-9


def moved(x_BCHW: Tensor, turn: float, right: float, down: float, *, low: float) -> Tensor:
    """Images rotated about their centre by `turn` (clockwise), then shifted; the three in units of size 1."""
    height, width = x_BCHW.shape[2:]
    cos, sin = math.cos(turn * ROTATION), math.sin(turn * ROTATION)
    # The map goes from where a pixel will be to where it is taken from, in units of half a side.
    across, along = 2 * SHIFT * right, 2 * SHIFT * down
    stretch = height / width
    back = [
        [cos, sin * stretch, -cos * across - sin * stretch * along],
        [-sin / stretch, cos, sin / stretch * across - cos * along],
    ]
    theta = torch.tensor(back, dtype=x_BCHW.dtype, device=x_BCHW.device).expand(len(x_BCHW), 2, 3)
    grid = functional.affine_grid(theta, list(x_BCHW.shape), align_corners=False)
    return functional.grid_sample(x_BCHW - low, grid, align_corners=False).add_(low)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spatial:
    """Rotation and both shifts in steps of size 1 / `steps`: (2·steps + 1)³ queries at eps = 1.

    The result's `details`: `rotation` in degrees, `right` and `down` in pixels, 0 where nothing was found.
    """

    name: ClassVar[str] = "spatial"
    norms: ClassVar[frozenset[Norm]] = frozenset({"spatial"})
    modality: ClassVar[Modality] = "image"
    knowledge: ClassVar[Knowledge] = "label"

    steps: int = 4
    batch_size: int = 256

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1:
            raise ValueError(f"steps and batch_size must be at least 1: {self}")

    def moves(self, eps: float) -> list[tuple[float, float, float]]:
        """(turn, right, down) on the grid within eps, the smallest first; no move is the first."""
        reach = math.floor(eps * self.steps + _ROUNDING)
        axis = [number / self.steps for number in range(-reach, reach + 1)]
        return sorted(
            itertools.product(axis, axis, axis),
            key=lambda move: (max(map(abs, move)), sum(map(abs, move)), move),
        )

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
        """Attack every image; nothing is random. Errors as in `checked`, and for an eps off the grid."""
        box = checked(self, x, y_B, threat, space)
        if x.dim() != 4:
            raise UsageError("attack 'spatial' turns images B×C×H×W")
        if threat.eps > FARTHEST:
            raise UsageError(
                f"eps {threat.eps:g} is above {FARTHEST:g}, where the image has left its frame",
                remedy="give eps in units of 30° and a tenth of the side, not in degrees or pixels",
            )
        moves = self.moves(threat.eps)
        if threat.eps > 0 and len(moves) == 1:
            raise UsageError(
                f"eps {threat.eps:g} is less than the first step of the grid, {1 / self.steps:g}",
                remedy="raise eps (1 is 30° and a tenth of the side), or `steps`",
            )
        adversarial = x.detach().clone()
        forwards_B = torch.zeros_like(y_B)
        broken_B = torch.zeros_like(y_B, dtype=torch.bool)
        move_B3 = torch.zeros(len(x), 3, dtype=torch.float64, device=x.device)
        with prepared(classifier), torch.no_grad():
            for number, move in enumerate(moves):
                standing = (~broken_B).nonzero().squeeze(1)
                if threat.budget is not None:  # a second look must remain affordable
                    standing = standing[forwards_B[standing] + (number > 0) < threat.budget]
                if not len(standing):
                    break
                for index_A in torch.split(standing, self.batch_size):
                    clean = x.detach()[index_A]
                    shown = moved(clean, *move, low=box.low).clamp(box.low, box.high) if number else clean
                    forwards_B[index_A] += 1
                    found_A = errs(classifier(shown), y_B[index_A])
                    if number and bool(found_A.any()):
                        forwards_B[index_A[found_A]] += 1
                        found_A[found_A.clone()] = errs(classifier(shown[found_A]), y_B[index_A[found_A]])
                    index_F = index_A[found_A]
                    adversarial[index_F], broken_B[index_F] = shown[found_A], True
                    move_B3[index_F] = torch.tensor(move, dtype=torch.float64, device=x.device)
        height, width = x.shape[2:]
        return AttackResult(
            adversarial,
            broken_B,
            move_B3.abs().amax(1).float(),
            forwards_B,
            torch.zeros_like(forwards_B),
            {
                "rotation": move_B3[:, 0] * math.degrees(ROTATION),
                "right": move_B3[:, 1] * SHIFT * width,
                "down": move_B3[:, 2] * SHIFT * height,
            },
        )
