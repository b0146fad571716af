"""Attention as an explanation, for the transformers of ours whose attention can be seen.

Rollout: S. Abnar, W. Zuidema, arXiv:2005.00928: maps averaged over heads, half of each block passed by,
multiplied through the blocks. It is the same for every class. Gradient-weighted rollout: H. Chefer, S. Gur,
L. Wolf, arXiv:2103.15679: each head's map times the class's gradient, its positive part averaged,
R ← R + Ā·R. What the head reads (class token, or the mean over tokens) says which rows count.

Shapes: B examples, H heads, L tokens. Errors: `CapabilityError` for any other network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from raiaudit.audit.explanations.methods.gradient import require_gradients
from raiaudit.audit.explanations.methods.method import EVERY_MODALITY, WHITE_BOX, Maps
from raiaudit.errors import CapabilityError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from raiaudit.audit.check import Capability
    from raiaudit.audit.explanations.methods.views import View
    from raiaudit.models.architectures.classifier import Classifier

__all__ = ["AttentionRollout", "GradientRollout", "seen_attention"]

_CHUNK = 64


@dataclass(frozen=True)
class _Rollout:
    modalities: ClassVar[frozenset[str]] = EVERY_MODALITY
    needs: ClassVar[frozenset[Capability]] = WHITE_BOX
    signed: ClassVar[bool] = False

    def explain(self, view: View, target_B: Tensor, *, rngs: Sequence[np.random.Generator]) -> Maps:
        """Relevance of each token the model reads, spread over its features."""
        import torch

        network = _transformer(view)
        maps = []
        for rows in torch.split(torch.arange(len(view.x), device=view.x.device), _CHUNK):
            with torch.enable_grad(), seen_attention(network) as weights:
                point = view.x[rows].detach().requires_grad_()
                chosen = view.logits(point, rows).gather(1, target_B[rows, None]).sum()
                steps = self._steps(weights, chosen)
            relevance_BLL = torch.eye(steps[0].shape[-1], dtype=torch.float64, device=rows.device)
            relevance_BLL = relevance_BLL.expand(len(rows), -1, -1)
            for step in steps:
                relevance_BLL = step @ relevance_BLL
            maps.append(_read(network, view, rows, relevance_BLL))
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


@contextmanager
def seen_attention(network: nn.Module) -> Iterator[list[Tensor]]:
    """Attention whose maps are part of the graph: weights_BHLL of each block in the list after a forward."""
    from raiaudit.models.architectures.attention import Attention

    seen: list[Tensor] = []

    def hook(module: nn.Module, inputs: tuple[Any, ...], _output: Tensor) -> Tensor:
        assert isinstance(module, Attention)
        x_BLD, mask_BL = inputs[0], inputs[1] if len(inputs) > 1 else None
        weights_BHLL = module.weights(x_BLD, mask_BL)
        seen.append(weights_BHLL)
        B, L, D = x_BLD.shape
        value_BHLE = module.value(x_BLD).view(B, L, module.heads, -1).transpose(1, 2)
        mixed: Tensor = module.out((weights_BHLL @ value_BHLE).transpose(1, 2).reshape(B, L, D))
        return mixed

    handles = [
        module.register_forward_hook(hook) for module in network.modules() if isinstance(module, Attention)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _transformer(view: View) -> Classifier:
    from raiaudit.models.architectures.ft_transformer import FTTransformer
    from raiaudit.models.architectures.text_transformer import TextTransformer
    from raiaudit.models.architectures.vit import VisionTransformer

    require_gradients(view)
    modules = view.network.modules() if view.network is not None else ()
    for module in modules:
        if isinstance(module, FTTransformer | TextTransformer | VisionTransformer):
            return module
    raise CapabilityError(
        "this model is no transformer whose attention can be seen",
        remedy="choose integrated_gradients; rollouts are for vit_*, text_transformer and ft_transformer",
    )


def _plus_identity(map_BLL: Tensor) -> Tensor:
    import torch

    return map_BLL + torch.eye(map_BLL.shape[-1], dtype=map_BLL.dtype, device=map_BLL.device)


def _read(network: Classifier, view: View, rows: Tensor, relevance_BLL: Tensor) -> Tensor:
    """The rows that the head reads, as features of the view, B×F."""
    present_BF = view.present_BF[rows]
    if view.x.dim() == 3:
        read_BL = present_BF.clone()
        read_BL[:, 0] = True  # [CLS] is read too, though it is no feature
        relevance_BL = (relevance_BLL * read_BL[..., None]).sum(1) / read_BL.sum(1, keepdim=True)
        return relevance_BL * present_BF
    relevance_BL = relevance_BLL[:, 0, 1:]
    if view.x.dim() == 2:
        return relevance_BL
    side, (height, width) = network.config["patch"], view.x.shape[-2:]
    patches: Tensor = relevance_BL.view(len(rows), height // side, width // side) / side**2
    pixels: Tensor = patches.repeat_interleave(side, 1).repeat_interleave(side, 2)
    return pixels.flatten(1)
