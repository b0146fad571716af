"""Attention as an explanation, for transformers whose attention can be seen (`models.attention_calls`).

Rollout: S. Abnar, W. Zuidema, arXiv:2005.00928: maps averaged over heads, half of each block passed by,
multiplied through the blocks. It is the same for every class. Gradient-weighted rollout: H. Chefer, S. Gur,
L. Wolf, arXiv:2103.15679: each head's map times the class's gradient, its positive part averaged,
R ← R + Ā·R. What the classifier reads (class token, or the mean over tokens) says which rows count.

Shapes: B examples, H heads, L tokens. Errors: `CapabilityError` for any other network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from raiaudit.audit.explanations.methods.gradient import require_gradients
from raiaudit.audit.explanations.methods.method import EVERY_MODALITY, WHITE_BOX, Maps
from raiaudit.errors import CapabilityError
from raiaudit.models.attention_calls import NO_TRANSFORMER, attending, layout_of

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from raiaudit.audit.check import Capability
    from raiaudit.audit.explanations.methods.views import View
    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.attention_calls import Layout

__all__ = ["AttentionRollout", "GradientRollout"]

_CHUNK = 64
_PROBED = 2


@dataclass(frozen=True)
class _Rollout:
    modalities: ClassVar[frozenset[str]] = EVERY_MODALITY
    needs: ClassVar[frozenset[Capability]] = WHITE_BOX
    signed: ClassVar[bool] = False

    def explain(self, view: View, target_B: Tensor, *, rngs: Sequence[np.random.Generator]) -> Maps:
        """Relevance of each token the model reads, spread over its features."""
        import torch

        network = _transformer(view)
        probed = torch.arange(len(view.x), device=view.x.device)[:_PROBED]
        layout = layout_of(network, lambda: view.logits(view.x[probed], probed), _tokens(view, probed))
        maps = []
        for rows in torch.split(torch.arange(len(view.x), device=view.x.device), _CHUNK):
            weights: list[Tensor] = []

            def see(
                _layer: int, weights_BHLL: Tensor, mixed_BLHE: Tensor, seen: list[Tensor] = weights
            ) -> Tensor:
                seen.append(weights_BHLL)
                return mixed_BLHE

            with torch.enable_grad(), attending(network, see):
                point = view.x[rows].detach().requires_grad_()
                chosen = view.logits(point, rows).gather(1, target_B[rows, None]).sum()
                steps = self._steps(weights, chosen)
            relevance_BLL = torch.eye(steps[0].shape[-1], dtype=torch.float64, device=rows.device)
            relevance_BLL = relevance_BLL.expand(len(rows), -1, -1)
            for step in steps:
                relevance_BLL = step @ relevance_BLL
            maps.append(_read(network, view, rows, layout, relevance_BLL))
        return Maps(torch.cat(maps), passes=2)

    def _steps(self, weights: list[Tensor], chosen: Tensor) -> list[Tensor]:
        raise NotImplementedError


@dataclass(frozen=True)
class AttentionRollout(_Rollout):
    """½ mean attention + ½ identity, block after block."""

    name: ClassVar[str] = "attention_rollout"
    citation: ClassVar[str] = "abnar2020"

    def _steps(self, weights: list[Tensor], chosen: Tensor) -> list[Tensor]:
        return [_plus_identity(map_BHLL.detach().double().mean(1)) / 2 for map_BHLL in weights]


@dataclass(frozen=True)
class GradientRollout(_Rollout):
    """Identity + the mean positive part of gradient × attention, block after block."""

    name: ClassVar[str] = "gradient_rollout"
    citation: ClassVar[str] = "chefer2021"

    def _steps(self, weights: list[Tensor], chosen: Tensor) -> list[Tensor]:
        import torch

        gradients = torch.autograd.grad(chosen, weights)
        return [
            _plus_identity((map_BHLL.detach() * gradient).clamp(min=0).double().mean(1))
            for map_BHLL, gradient in zip(weights, gradients, strict=True)
        ]


def _transformer(view: View) -> Classifier:
    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.architectures.ft_transformer import FTTransformer
    from raiaudit.models.architectures.text_transformer import TextTransformer
    from raiaudit.models.architectures.vit import VisionTransformer

    require_gradients(view)
    modules = view.network.modules() if view.network is not None else ()
    for module in modules:
        if isinstance(module, FTTransformer | TextTransformer | VisionTransformer) or (
            isinstance(module, Classifier) and module.architecture == "huggingface"
        ):
            return module
    raise CapabilityError(
        NO_TRANSFORMER,
        remedy="choose integrated_gradients; rollouts are for vit_*, text_transformer, ft_transformer and "
        "Hugging Face folders",
    )


def _tokens(view: View, rows: Tensor) -> Tensor | None:
    """Of a text, which tokens are there, features or not. None: all."""
    import torch

    if view.x.dim() != 3:
        return None
    assert view.names is not None
    length_B = torch.tensor([len(view.names[row]) for row in rows.tolist()], device=rows.device)
    return torch.arange(view.x.shape[1], device=rows.device) < length_B[:, None]


def _plus_identity(map_BLL: Tensor) -> Tensor:
    import torch

    return map_BLL + torch.eye(map_BLL.shape[-1], dtype=map_BLL.dtype, device=map_BLL.device)


def _read(network: Classifier, view: View, rows: Tensor, layout: Layout, relevance_BLL: Tensor) -> Tensor:
    """The rows that the classifier reads, as features of the view, B×F."""
    import torch

    present_BL = _tokens(view, rows)
    if present_BL is None:
        present_BL = torch.ones_like(relevance_BLL[:, 0], dtype=torch.bool)
    reading_BL = layout.reading(present_BL).to(relevance_BLL.dtype)
    relevance_BL = (reading_BL[:, None] @ relevance_BLL)[:, 0]
    if view.x.dim() == 3:
        return relevance_BL * view.present_BF[rows]
    if view.x.dim() == 2:
        return relevance_BL[:, 1:]
    height, width = view.x.shape[-2:]
    patch_BRC = patches(network, relevance_BL, height, width)
    pixel_BHW: Tensor = network.onto_pixels(patch_BRC, height, width)  # type: ignore[operator]  # as above
    return pixel_BHW.flatten(1)


def patches(network: Classifier, relevance_BL: Tensor, height: int, width: int) -> Tensor:
    """The tokens of an image's patches by rows and columns: the last ones, behind the class token.

    Raises `CapabilityError` where there are fewer tokens than patches.
    """
    if not hasattr(network, "patch_grid"):
        raise CapabilityError("the tokens of this network are not known to be patches of the image")
    grid: tuple[int, int] = network.patch_grid(height, width)  # type: ignore[operator]  # of two families
    count = grid[0] * grid[1]
    if relevance_BL.shape[-1] < count:
        raise CapabilityError("the network has fewer tokens than patches of the image")
    return relevance_BL[:, -count:].view(-1, *grid)
