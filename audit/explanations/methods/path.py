"""Maps from gradients along paths (the quadrature itself is in integrated_gradients.py).

Integrated gradients: M. Sundararajan, A. Taly, Q. Yan, arXiv:1703.01365: one path, from the view's baseline.
Expected gradients: G. Erion et al., arXiv:1906.10670: the mean over paths that begin at training inputs, one
point on each; Σ a = f(x) − E f(baseline). The points are stratified: one in each of `samples` equal parts.

Shapes: B examples, S samples, F features. Errors: `CapabilityError` where there is no training input to draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from raiaudit.audit.explanations.methods.gradient import require_gradients, target_gradient
from raiaudit.audit.explanations.methods.integrated_gradients import integrated_gradients
from raiaudit.audit.explanations.methods.method import (
    EVERY_MODALITY,
    WHITE_BOX,
    Maps,
    share_unaccounted,
)
from raiaudit.errors import CapabilityError

if TYPE_CHECKING:
    from torch import Tensor

    from raiaudit.audit.check import Capability
    from raiaudit.audit.explanations.methods.views import View

__all__ = ["ExpectedGradients", "IntegratedGradients"]


@dataclass(frozen=True, kw_only=True)
class IntegratedGradients:
    """Nodes are doubled, up to `max_nodes`, until a map adds up within `tolerance`."""

    tolerance: float = 0.01
    max_nodes: int = 256

    name: ClassVar[str] = "integrated_gradients"
    modalities: ClassVar[frozenset[str]] = EVERY_MODALITY
    needs: ClassVar[frozenset[Capability]] = WHITE_BOX
    signed: ClassVar[bool] = True
    citation: ClassVar[str] = "sundararajan2017"

    def explain(self, view: View, target_B: Tensor, *, rngs: Sequence[np.random.Generator]) -> Maps:
        """Completeness errors come with the maps."""
        require_gradients(view)
        found = integrated_gradients(
            view.logits,
            view.x,
            view.baseline,
            target_B,
            summed=view.by_feature,
            tolerance=self.tolerance,
            max_nodes=self.max_nodes,
        )
        return Maps(
            view.by_feature(found.values), found.error_B, passes=2 * float(found.nodes_B.double().mean())
        )


@dataclass(frozen=True, kw_only=True)
class ExpectedGradients:
    """`samples` training inputs are drawn for each example, with its own generator."""

    samples: int = 100

    name: ClassVar[str] = "expected_gradients"
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "tabular"})
    needs: ClassVar[frozenset[Capability]] = WHITE_BOX
    signed: ClassVar[bool] = True
    citation: ClassVar[str] = "erion2021"

    def explain(self, view: View, target_B: Tensor, *, rngs: Sequence[np.random.Generator]) -> Maps:
        """The completeness error is against the mean answer to the baselines that were drawn."""
        import torch

        if view.background is None:
            raise CapabilityError(
                "there are no training inputs that could be mixed with these",
                remedy="choose integrated_gradients, which has one baseline",
            )
        background, S = view.background(), self.samples
        values, gap_B = torch.zeros_like(view.x), view.x.new_zeros(len(view.x), dtype=torch.float64)
        for row, rng in enumerate(rngs):
            rows_S = torch.full((S,), row, device=view.x.device)
            target_S = target_B[rows_S]
            start = background[torch.from_numpy(rng.integers(len(background), size=S)).to(view.x.device)]
            share = torch.from_numpy((np.arange(S) + rng.random(S)) / S).to(start)
            step = view.x[row] - start
            points = start + share.view(-1, *(1,) * (step.dim() - 1)) * step
            values[row] = (step * target_gradient(view, points, rows_S, target_S)).mean(0)
            with torch.no_grad():
                ends = view.logits(torch.cat([start, view.x[row, None]]), torch.cat([rows_S, rows_S[:1]]))
            chosen = ends[:, target_B[row]].double()
            gap_B[row] = chosen[-1] - chosen[:-1].mean()
        scores_BF = view.by_feature(values)
        return Maps(scores_BF, share_unaccounted(scores_BF, gap_B), passes=3 * S)
