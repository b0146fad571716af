"""What the corruptions share: the paper's two scales of severity, and the ids that key what is random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from raiaudit.errors import UsageError

__all__ = ["SMALL_BELOW", "Severities", "example_ids", "is_small"]

SMALL_BELOW = 64
"""An image whose shorter side has fewer pixels is corrupted at the small scale."""

Parameter = TypeVar("Parameter")


@dataclass(frozen=True, slots=True)
class Severities(Generic[Parameter]):
    """A parameter, or a tuple of them, at severities 1–5: `small` as CIFAR-10-C, `large` as ImageNet-C."""

    small: tuple[Parameter, Parameter, Parameter, Parameter, Parameter]
    large: tuple[Parameter, Parameter, Parameter, Parameter, Parameter]

    def of(self, x_BCHW: Tensor, severity: int) -> Parameter:
        """The parameter for these images; `UsageError` unless severity is 1–5."""
        if severity not in range(1, 6):
            raise UsageError(f"corruption severity must be 1, 2, 3, 4 or 5, got {severity!r}")
        return (self.small if is_small(x_BCHW) else self.large)[severity - 1]


def is_small(x_BCHW: Tensor) -> bool:
    """Whether these images are corrupted at the small scale."""
    return min(x_BCHW.shape[-2:]) < SMALL_BELOW


def example_ids(x_BCHW: Tensor, ids: Sequence[int] | Tensor | None) -> Tensor:
    """B ids on the device of the images; 0…B−1 unless given."""
    known = torch.as_tensor(range(len(x_BCHW)) if ids is None else ids, dtype=torch.int64)
    return known.to(x_BCHW.device)
