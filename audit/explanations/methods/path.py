"""Maps from gradients along a path (the quadrature itself is in integrated_gradients.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from raiaudit.audit.explanations.methods.integrated_gradients import integrated_gradients
from raiaudit.audit.explanations.methods.method import WHITE_BOX, Maps

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from raiaudit.audit.check import Capability
    from raiaudit.audit.explanations.methods.views import View

__all__ = ["IntegratedGradients"]


@dataclass(frozen=True, kw_only=True)
class IntegratedGradients:
    """Nodes are doubled, up to `max_nodes`, until a map adds up within `tolerance`."""

    tolerance: float = 0.01
    max_nodes: int = 256

    name: ClassVar[str] = "integrated_gradients"
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    needs: ClassVar[frozenset[Capability]] = WHITE_BOX
    signed: ClassVar[bool] = True
    citation: ClassVar[str] = "sundararajan2017"

    def explain(self, view: View, target_B: Tensor, *, rngs: Sequence[np.random.Generator]) -> Maps:
        """Completeness errors come with the maps."""
        found = integrated_gradients(
            view.logits, view.x, view.baseline, target_B, tolerance=self.tolerance, max_nodes=self.max_nodes
        )
        return Maps(
            view.by_feature(found.values), found.error_B, passes=2 * float(found.nodes_B.double().mean())
        )
