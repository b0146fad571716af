"""The valid inputs around an example: an L∞ ball, cut by what an input may be.

Images: the ball cut by the box of valid values. Tables: every column moves by at most eps of its range, as
the schema allows; immutable columns and categories stay, integers stay whole. A search keeps a `relaxed`
point, which may have fractions of an integer; `settled` is the valid input near it that the model is asked
about.

Shapes: x B×…; ids_B int64 name the examples (random numbers are keyed by them); draw numbers the draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from raiaudit.attacks import randomness
from raiaudit.attacks.evasion.engine.balls import BALLS, per_row
from raiaudit.attacks.evasion.engine.region import Region
from raiaudit.attacks.evasion.tables.feasible import FeasibleRows
from raiaudit.attacks.evasion.tables.projected import project
from raiaudit.attacks.spaces import ImageBox, TableSchema

if TYPE_CHECKING:
    from raiaudit.attacks.spaces import InputSpace

__all__ = ["Neighbours", "neighbours_of", "random_signs"]


class Neighbours(Protocol):
    """`eps` in the units of an image's values, or as a share of a table column's range."""

    @property
    def eps(self) -> float:
        """The radius."""
        ...

    def moved(self, x: Tensor, direction: Tensor, length_B: Tensor, x0: Tensor) -> Tensor:
        """`x` + length · sign(direction), in units of eps, brought back into the ball; relaxed."""
        ...

    def settled(self, relaxed: Tensor, x0: Tensor) -> Tensor:
        """The valid input of the ball near a relaxed point."""
        ...


@dataclass(frozen=True, slots=True)
class _Images:
    region: Region

    @property
    def eps(self) -> float:
        return self.region.eps

    def moved(self, x: Tensor, direction: Tensor, length_B: Tensor, x0: Tensor) -> Tensor:
        step = direction.sign().nan_to_num_(nan=0.0) * per_row(length_B, x) * self.eps
        return self.region.project(x + step, x0)

    def settled(self, relaxed: Tensor, x0: Tensor) -> Tensor:
        return relaxed


@dataclass(frozen=True, slots=True)
class _Rows:
    rows: FeasibleRows

    @property
    def eps(self) -> float:
        return self.rows.eps

    def moved(self, x: Tensor, direction: Tensor, length_B: Tensor, x0: Tensor) -> Tensor:
        moves_W = ~(self.rows.fixed_W | self.rows.category_W)
        step = direction.sign().nan_to_num_(nan=0.0) * moves_W * per_row(length_B, x)
        return project(self.rows, x + step * self.eps * self.rows.range_W, x0).to(x0.dtype)

    def settled(self, relaxed: Tensor, x0: Tensor) -> Tensor:
        return self.rows.settle(relaxed, x0)


def neighbours_of(space: InputSpace, eps: float, device: torch.device) -> Neighbours:
    """The ball of radius `eps` in this space."""
    if isinstance(space, ImageBox):
        return _Images(Region(BALLS["linf"], eps, space.low, space.high))
    assert isinstance(space, TableSchema)
    return _Rows(FeasibleRows(space, "linf", eps, device))


def random_signs(x0: Tensor, ids_B: Tensor, *, seed: int, stream: str, draw: int) -> Tensor:
    """±1 for every value, B×…: with a whole step of them, noise of the size of an attack."""
    return randomness.uniform(ids_B, x0.shape[1:], seed=seed, stream=stream, draw=draw).sub_(0.5).sign_()
