"""What an attribution method is: a view of some inputs and the classes to explain in, one map an input out.

Methods are frozen dataclasses: hyper-parameters in the constructor, data in the call. Nothing here knows of
checks or ledgers. Shapes: B examples, F features of the view (pixels, words, columns).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from raiaudit.audit.check import Capability

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from raiaudit.audit.explanations.methods.views import View

__all__ = ["ANSWERS", "EVERY_MODALITY", "WHITE_BOX", "Maps", "Method", "share_unaccounted"]

EVERY_MODALITY = frozenset({"image", "text", "tabular"})
ANSWERS = frozenset({Capability.PROBABILITIES})
"""What a method needs that only compares answers (of a black box: the logarithms of its scores)."""

WHITE_BOX = frozenset({Capability.LOGITS, Capability.GRADIENTS})


@dataclass(frozen=True, slots=True)
class Maps:
    """`scores_BF` float64: how much each feature speaks for the explained class (signed where the method
    is, else ≥ 0); absent features (padding) are 0. `error_B`, where the method promises that a map adds up:
    |Σ scores − (f(x) − f(baseline))| / Σ|scores|. `passes` counts forwards and backwards of one example.
    """

    scores_BF: Tensor
    error_B: Tensor | None = None
    passes: float = 0.0


def share_unaccounted(map_BF: Tensor, gap_B: Tensor) -> Tensor:
    """|Σ a − gap| / Σ|a|, B. A map without mass explains a gap of zero perfectly, any other not at all."""
    import torch

    residual_B, mass_B = (map_BF.sum(1) - gap_B).abs(), map_BF.abs().sum(1)
    return torch.where(mass_B > 0, residual_B / mass_B, (residual_B > 0).to(map_BF.dtype))


class Method(Protocol):
    """`signed` methods tell for from against. `citation` is an id of the bibliography."""

    name: ClassVar[str]
    modalities: ClassVar[frozenset[str]]
    needs: ClassVar[frozenset[Capability]]
    signed: ClassVar[bool]
    citation: ClassVar[str]

    def explain(self, view: View, target_B: Tensor, *, rngs: Sequence[np.random.Generator]) -> Maps:
        """Explain the logit of `target_B` for every input of `view`.

        `rngs` has one generator an input, so that a map does not depend on its batch. Raises
        `CapabilityError` for a model that lacks what the method reads: a convolution for Grad-CAM, attention
        for a rollout.
        """
        ...
