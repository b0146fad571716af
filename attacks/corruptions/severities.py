"""The paper's two scales of severity, and which of them an image is corrupted at."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from raiaudit.errors import UsageError

__all__ = ["Severities"]

Five = tuple[float, float, float, float, float]

_SMALL_BELOW = 64


@dataclass(frozen=True, slots=True)
class Severities:
    """One parameter at severities 1–5: `small` from CIFAR-10-C, `large` from ImageNet-C."""

    small: Five
    large: Five

    def of(self, x_BCHW: Tensor, severity: int) -> float:
        """The parameter for these images; `UsageError` unless severity is 1–5."""
        if severity not in range(1, 6):
            raise UsageError(f"corruption severity must be 1, 2, 3, 4 or 5, got {severity!r}")
        scale = self.small if min(x_BCHW.shape[-2:]) < _SMALL_BELOW else self.large
        return scale[severity - 1]
