"""Where an adversarial image may lie: a norm ball around the clean one, cut by the box of valid values.

The promise is exact: for every point a region returns, the distance recomputed in float64 from the
float32 values is at most `eps`, and every value lies in [low, high].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from raiaudit.attacks import randomness
from raiaudit.attacks.evasion.base import EvasionAttack
from raiaudit.attacks.evasion.engine.balls import BALLS, Ball, project_l1
from raiaudit.attacks.spaces import ImageBox, InputSpace
from raiaudit.attacks.threats import ThreatModel
from raiaudit.errors import UsageError

__all__ = ["Region", "checked", "region_of"]


@dataclass(frozen=True, slots=True)
class Region:
    """A ball of radius `eps` around each clean row, intersected with the box [low, high]."""

    ball: Ball
    eps: float
    low: float
    high: float

    def inner_radius(self, x0: Tensor) -> float:
        """`eps` less what rounding x0 + delta to float32 can add to its norm (about 1e-7 in L∞)."""
        half_step = torch.finfo(x0.dtype).eps / 2 * max(abs(self.low), abs(self.high))
        return max(0.0, self.eps - half_step * self.ball.ones(math.prod(x0.shape[1:])))

    def project(self, x: Tensor, x0: Tensor) -> Tensor:
        """The ball first, then the box: x0 is in the box, so clipping never leaves the ball.

        In L1, where clipping would waste most of a sparse step, the nearest point of both at once.
        """
        if self.ball.norm == "l1":
            delta = x - x0
            room = torch.where(delta > 0, self.high - x0, x0 - self.low)
            moved = project_l1(delta, self.inner_radius(x0), room)
            return moved.add_(x0).clamp_(self.low, self.high)
        return self.ball.project(x - x0, self.inner_radius(x0)).add_(x0).clamp_(self.low, self.high)

    def random(self, x0: Tensor, ids_B: Tensor, try_B: Tensor, *, seed: int, stream: str) -> Tensor:
        """A uniform point of the ball, clipped to the box; keyed by (seed, stream, try, id)."""
        # The two kinds of numbers come from streams of their own: no word is used twice.
        shape = x0.shape[1:]
        uniform = partial(randomness.uniform, ids_B, shape, seed=seed, stream=f"{stream}/u", draw=try_B)
        normal = partial(randomness.normal, ids_B, shape, seed=seed, stream=f"{stream}/n", draw=try_B)
        return self.project(x0 + self.ball.random(uniform, normal, self.eps), x0)

    def distance(self, x: Tensor, x0: Tensor) -> Tensor:
        """Norm of x − x0 per row, subtracted and summed in float64."""
        return self.ball.distance(x.to(torch.float64) - x0.to(torch.float64))

    def valid(self, x: Tensor, x0: Tensor) -> Tensor:
        """Which rows lie in the box (bool B)."""
        flat = x.flatten(1)
        return ((flat >= self.low) & (flat <= self.high)).all(1)

    def contains(self, x: Tensor, x0: Tensor) -> Tensor:
        """Which rows lie in the region (bool B)."""
        return self.valid(x, x0) & (self.distance(x, x0) <= self.eps)


def region_of(
    attack: EvasionAttack, x: Tensor, y_B: Tensor, threat: ThreatModel, space: InputSpace
) -> Region:
    """The region of an image attack; errors as in `checked`."""
    box = checked(attack, x, y_B, threat, space)
    return Region(BALLS[threat.norm], threat.eps, box.low, box.high)


def checked(
    attack: EvasionAttack, x: Tensor, y_B: Tensor, threat: ThreatModel, space: InputSpace
) -> ImageBox:
    """The box of an image attack, once its input has been looked at.

    Raises `UsageError` for a norm the attack does not have, a space that is not images, labels that are
    not int64, or inputs outside the space.
    """
    if threat.norm not in attack.norms:
        raise UsageError(
            f"attack {attack.name!r} has no norm {threat.norm!r}", remedy=f"choices: {sorted(attack.norms)}"
        )
    if not isinstance(space, ImageBox):
        raise UsageError(f"attack {attack.name!r} needs images, not a {type(space).__name__}")
    if y_B.dtype != torch.int64:
        raise UsageError(f"labels must be int64 class indices, got {y_B.dtype}")
    if len(x) and not bool(((x >= space.low) & (x <= space.high)).all()):
        raise UsageError(
            f"inputs leave the box [{space.low}, {space.high}] of their space, or are NaN",
            remedy="scale the inputs, or state the true bounds in the data set",
        )
    return space
