"""Rows of any schema, and a rough network on them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from raiaudit.attacks.spaces import TableSchema


def random_rows(schema: TableSchema, count: int, seed: int) -> Tensor:
    """Encoded rows within the schema, uniform in every column."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.zeros(count, schema.width)
    for column in schema.columns:
        part = schema.slices[column.name]
        if column.kind == "category":
            level = torch.randint(column.width, (count,), generator=generator)
            rows[:, part] = nn.functional.one_hot(level, column.width).float()
        else:
            value = column.low + (column.high - column.low) * torch.rand(count, 1, generator=generator)
            rows[:, part] = value.round() if column.kind == "integer" else value
    return rows


class Rough(nn.Module):
    """A random two-layer net on rows scaled to comparable units."""

    def __init__(self, schema: TableSchema, seed: int, classes: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        rows = random_rows(schema, 64, seed)
        self.mean, self.scale = rows.mean(0), rows.std(0) + 1e-3
        first = nn.Linear(schema.width, 24)
        first.weight.data.mul_(3)
        self.net = nn.Sequential(first, nn.Tanh(), nn.Linear(24, classes))

    def forward(self, x: Tensor) -> Tensor:
        """logits_BK."""
        logits: Tensor = self.net((x - self.mean) / self.scale)
        return logits
