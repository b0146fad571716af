"""SmoothGrad (D. Smilkov et al., arXiv:1706.03825): the gradient, averaged over noisy copies of the input.

The noise is normal. Its standard deviation is `level` times what the input spans (largest − smallest
element), in tables times the deviation of each slot over training rows, as columns have units of their own.
Only what is present is moved, with the example's own generator: neither padding nor the batch changes a map.

Shapes: B examples, S noisy copies, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from raiaudit.audit.explanations.methods.gradient import target_gradient
from raiaudit.audit.explanations.methods.method import EVERY_MODALITY, WHITE_BOX, Maps

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from raiaudit.audit.check import Capability
    from raiaudit.audit.explanations.methods.views import View

__all__ = ["SmoothGrad"]


@dataclass(frozen=True, kw_only=True)
class SmoothGrad:
    """|mean ∂f/∂x| over `samples` copies with noise of `level`."""

    samples: int = 25
    level: float = 0.15

    name: ClassVar[str] = "smoothgrad"
    modalities: ClassVar[frozenset[str]] = EVERY_MODALITY
    needs: ClassVar[frozenset[Capability]] = WHITE_BOX
    signed: ClassVar[bool] = False
    citation: ClassVar[str] = "smilkov2017"

    def explain(self, view: View, target_B: Tensor, *, rngs: Sequence[np.random.Generator]) -> Maps:
        """The largest magnitude in each feature."""
        import torch

        present_BE = view.present_BF[:, view.feature_E]
        spread_BE = self.level * _spread(view, present_BE)
        gradient = torch.zeros_like(view.x)
        for row, rng in enumerate(rngs):
            here_E = present_BE[row]
            drawn = rng.standard_normal((self.samples, int(here_E.sum())))
            noise_SE = view.x.new_zeros(self.samples, len(here_E))
            noise_SE[:, here_E] = torch.from_numpy(drawn).to(view.x) * spread_BE[row, here_E]
            rows_S = torch.full((self.samples,), row, device=view.x.device)
            points = view.x[row] + noise_SE.view(-1, *view.x.shape[1:])
            gradient[row] = target_gradient(view, points, rows_S, target_B[rows_S]).mean(0)
        return Maps(view.largest(gradient.abs()), passes=2 * self.samples)


def _spread(view: View, present_BE: Tensor) -> Tensor:
    """What noise of level 1 has as its standard deviation, B×E."""
    flat = view.x.flatten(1)
    if view.x.dim() == 2 and view.background is not None:
        return view.background().std(0, correction=0).expand_as(flat)
    high = flat.masked_fill(~present_BE, -float("inf")).amax(1)
    low = flat.masked_fill(~present_BE, float("inf")).amin(1)
    return (high - low).clamp(min=0)[:, None].expand_as(flat)
