"""How far an adversary moves a table row during training.

A row moves in units of each column's range: only mutable real and integer columns, within their bounds
and in their monotone direction (integers are relaxed to reals); one-hot slots and immutable columns stay.

Shapes: x_BW encoded rows, moves_BW in units of the range of each slot's column.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from raiaudit.attacks.spaces import TableSchema

__all__ = ["Reach"]


class Reach:
    """Bounds, scale and direction of every slot of an encoded row."""

    def __init__(self, schema: TableSchema, device: torch.device) -> None:
        low, high, scale = [], [], []
        down, up = [], []
        for column in schema.columns:
            movable = column.mutable and column.kind != "category"
            low += [column.low if movable else -math.inf] * column.width
            high += [column.high if movable else math.inf] * column.width
            scale += [column.high - column.low if movable else 0.0] * column.width
            down += [0.0 if column.monotone == "increasing" else -math.inf] * column.width
            up += [0.0 if column.monotone == "decreasing" else math.inf] * column.width
        self.low_W, self.high_W, self.scale_W, self.down_W, self.up_W = (
            torch.tensor(values, device=device) for values in (low, high, scale, down, up)
        )

    def applied(self, x_BW: Tensor, moves_BW: Tensor) -> Tensor:
        """Rows after a move, held to the columns' bounds; a row already outside them stays there."""
        moves_BW = moves_BW.maximum(self.down_W).minimum(self.up_W)
        moved_BW = x_BW + moves_BW * self.scale_W
        return moved_BW.maximum(self.low_W.minimum(x_BW)).minimum(self.high_W.maximum(x_BW))
