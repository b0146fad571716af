"""What one layer contributes to per-example gradients, from its input and the gradient of its output.

For a linear layer the gradient of example b is G_bᵀA_b, a sum over its T positions (tokens, pixels, views).
Its norm follows from two Gram matrices without forming it: ‖GᵀA‖² = ⟨AAᵀ, GGᵀ⟩ ("ghost norm",
arXiv:2110.05679), and the weighted sum over examples is one product of all rows (book-keeping,
arXiv:2210.00038). Where T is large the gradient itself is smaller than the Gram matrices and is formed.
A convolution is the linear layer of its unfolded input; where its filters are standardised first
(arXiv:1903.10520), the gradient goes on through that.

A Gram matrix loses half the digits where positions cancel, so a ghost norm is rounded up by what the
rounding can take: too small a norm would break the clipping bound.

Shapes: B examples, T positions of each, D input and O output features; weight_B one factor an example.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import vjp
from torch.nn import functional
from torch.nn.grad import conv2d_weight

from raiaudit.models.architectures.attention import ClassToken, Positions
from raiaudit.models.architectures.convolutions import SkipInit, StandardizedConv2d, standardized

__all__ = ["RULES", "Explicit", "Ghost", "Part", "Rule", "why_no_rule"]

_GHOST = 32  # positions² a weight, above which the gradient itself is cheaper than its Gram matrices
_FEWEST_RUN = 8  # floats in one row of a window that make copying whole rows worth while


class Part(Protocol):
    """The per-example gradients of one parameter, held in whatever form is cheapest."""

    def squared_norms(self) -> Tensor:
        """squared_B, never less than those of what `weighted_sum` adds up."""
        ...

    def weighted_sum(self, weight_B: Tensor) -> Tensor:
        """Σ_b weight_b · gradient_b, in the shape of the parameter."""
        ...


@dataclass(frozen=True, slots=True)
class Explicit:
    """gradient_B…, formed; `arrange` brings a sum of them into the shape of the parameter."""

    gradient: Tensor
    arrange: Callable[[Tensor], Tensor] = lambda total: total

    def squared_norms(self) -> Tensor:
        """squared_B."""
        norms_B: Tensor = torch.linalg.vector_norm(self.gradient.reshape(len(self.gradient), -1), dim=1)
        return norms_B.square()

    def weighted_sum(self, weight_B: Tensor) -> Tensor:
        """Σ_b weight_b · gradient_b."""
        total = weight_B @ self.gradient.reshape(len(weight_B), -1)
        return self.arrange(total.view(self.gradient.shape[1:]))


@dataclass(frozen=True, slots=True)
class Ghost:
    """rows_BTD and out_BTO, whose products are not formed; `total` adds all of them up, weighted."""

    rows_BTD: Tensor
    out_BTO: Tensor
    total: Callable[[Tensor], Tensor]

    def squared_norms(self) -> Tensor:
        """squared_B, rounded up."""
        rows_BT = torch.linalg.vector_norm(self.rows_BTD, dim=2)
        out_BT = torch.linalg.vector_norm(self.out_BTO, dim=2)
        largest_B: Tensor = (rows_BT * out_BT).sum(1).square()  # what positions that all agree would give
        if self.rows_BTD.shape[1] == 1:
            return largest_B
        gram_BTT = torch.bmm(self.rows_BTD, self.rows_BTD.mT) * torch.bmm(self.out_BTO, self.out_BTO.mT)
        terms = self.rows_BTD.shape[2] + self.out_BTO.shape[2]
        rounding = torch.finfo(gram_BTT.dtype).eps * math.sqrt(terms)
        return gram_BTT.sum((1, 2)).clamp_min(0) + rounding * largest_B

    def weighted_sum(self, weight_B: Tensor) -> Tensor:
        """One product over all examples and positions."""
        return self.total(weight_B)


Rule = Callable[[Any, Tensor, Tensor, int], dict[str, Part]]
"""(module, input, gradient of the output, B) → the part of each of the module's parameters. The first axis of
input and gradient is a multiple of B: the examples in order, what belongs to one side by side."""


def _cheaper_as_ghost(positions: int, features: int, out: int) -> bool:
    return positions**2 * (features + out) < _GHOST * features * out


def linear(module: nn.Linear, x: Tensor, out: Tensor, B: int) -> dict[str, Part]:
    """All axes between the first and the last are positions."""
    rows_BTD = x.reshape(B, -1, module.in_features)
    out_BTO = out.reshape(B, -1, module.out_features)

    def total(weight_B: Tensor) -> Tensor:
        return (out_BTO * weight_B[:, None, None]).flatten(0, 1).mT @ rows_BTD.flatten(0, 1)

    ghost = _cheaper_as_ghost(rows_BTD.shape[1], module.in_features, module.out_features)
    weight = Ghost(rows_BTD, out_BTO, total) if ghost else Explicit(torch.bmm(out_BTO.mT, rows_BTD))
    return {"weight": weight} if module.bias is None else {"weight": weight, "bias": Explicit(out_BTO.sum(1))}


def conv2d(module: nn.Conv2d, x: Tensor, out: Tensor, B: int) -> dict[str, Part]:
    """Any stride, padding by zeros, dilation and number of groups."""
    outs, features = module.out_channels, module.weight[0].numel()
    out_BOT = _together(out.flatten(2), B)
    parts: dict[str, Part] = {} if module.bias is None else {"bias": Explicit(out_BOT.sum(2))}
    if module.groups > 1:
        return parts | {"weight": Explicit(_grouped_gradient(module, x, out_BOT, B))}
    rows_BTD, arrange = _windows(module, x, B)
    if not _cheaper_as_ghost(rows_BTD.shape[1], features, outs):
        return parts | {"weight": Explicit(torch.bmm(out_BOT, rows_BTD), arrange)}

    def total(weight_B: Tensor) -> Tensor:
        factors = weight_B.repeat_interleave(len(x) // B)[:, None, None, None]
        assert not isinstance(module.padding, str)
        summed: Tensor = conv2d_weight(  # type: ignore[no-untyped-call]
            x, module.weight.shape, out * factors, module.stride, module.padding, module.dilation
        )
        return summed

    return parts | {"weight": Ghost(rows_BTD, out_BOT.mT, total)}


def standardized_conv2d(module: StandardizedConv2d, x: Tensor, out: Tensor, B: int) -> dict[str, Part]:
    """The gradient of the filters in use is carried back, example by example, to what they are made of."""
    out_BOT = _together(out.flatten(2), B)
    if module.groups > 1:
        used_B = _grouped_gradient(module, x, out_BOT, B)
    else:
        rows_BTD, arrange = _windows(module, x, B)
        used_B = torch.vmap(arrange)(torch.bmm(out_BOT, rows_BTD))
    made_of = {"weight": module.weight} | ({} if module.gain is None else {"gain": module.gain})
    back = vjp(lambda given: standardized(given["weight"], given.get("gain")), made_of)[1]
    (gradients,) = torch.vmap(back)(used_B)
    parts: dict[str, Part] = {name: Explicit(gradient.detach()) for name, gradient in gradients.items()}
    return parts if module.bias is None else parts | {"bias": Explicit(out_BOT.sum(2))}


def skip_init(module: SkipInit, x: Tensor, out: Tensor, B: int) -> dict[str, Part]:
    """One number."""
    return {"weight": Explicit((x * out).reshape(B, -1).sum(1))}


def _together(x_RCT: Tensor, B: int) -> Tensor:
    """(B·V)×C×T to B×C×(V·T): the views of an example are more positions of it."""
    if len(x_RCT) == B:
        return x_RCT
    return _examples(x_RCT, B).transpose(1, 2).flatten(2)


def _examples(x: Tensor, B: int) -> Tensor:
    """(B·V)×… to B×V×…"""
    return x.reshape(B, -1, *x.shape[1:])


def _windows(module: nn.Conv2d, x_RCHW: Tensor, B: int) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """rows_BTD of the windows a filter sees, and what turns O×D in their order of D into O×I×h×w.

    With several channels whole rows of a window are copied at once, channels last: 2–5 times as quick as
    `unfold` on a CPU.
    """
    (h, w), ins, outs = module.kernel_size, module.in_channels, module.out_channels
    if w * ins < _FEWEST_RUN or module.dilation != (1, 1):
        rows_BTD = _together(_unfold(module, x_RCHW), B).mT
        return rows_BTD, lambda total_OD: total_OD.view(outs, ins, h, w)
    assert not isinstance(module.padding, str)
    (down, across), (above, beside) = module.stride, module.padding
    padded = functional.pad(x_RCHW, (beside, beside, above, above)).permute(0, 2, 3, 1).contiguous()
    R, H, W, _ = padded.shape
    r, i, j, c = padded.stride()
    shape = (R, (H - h) // down + 1, (W - w) // across + 1, h, w, ins)
    windows = padded.as_strided(shape, (r, down * i, across * j, i, j, c))
    return windows.reshape(B, -1, h * w * ins), lambda total_OD: total_OD.view(outs, h, w, ins).permute(
        0, 3, 1, 2
    )


def _unfold(module: nn.Conv2d, x_RCHW: Tensor) -> Tensor:
    assert not isinstance(module.padding, str)
    return functional.unfold(x_RCHW, module.kernel_size, module.dilation, module.padding, module.stride)


def _grouped_gradient(module: nn.Conv2d, x_RCHW: Tensor, out_BOT: Tensor, B: int) -> Tensor:
    groups = module.groups
    rows_BCT = _together(_unfold(module, x_RCHW), B)
    positions = out_BOT.shape[2]
    rows_GDT = rows_BCT.reshape(B * groups, -1, positions)
    out_GOT = out_BOT.reshape(B * groups, -1, positions)
    return torch.bmm(out_GOT, rows_GDT.mT).view(B, *module.weight.shape)


def group_norm(module: nn.GroupNorm, x: Tensor, out: Tensor, B: int) -> dict[str, Part]:
    """Each example has its own mean and deviation a group, which its views do not share."""
    normal_RCT = functional.group_norm(x, module.num_groups, eps=module.eps).flatten(2)
    out_RCT = out.flatten(2)
    return {
        "weight": Explicit(_examples(torch.einsum("rct,rct->rc", normal_RCT, out_RCT), B).sum(1)),
        "bias": Explicit(_examples(out_RCT.sum(2), B).sum(1)),
    }


def layer_norm(module: nn.LayerNorm, x: Tensor, out: Tensor, B: int) -> dict[str, Part]:
    """Each position is normalised by itself."""
    normal = functional.layer_norm(x, module.normalized_shape, eps=module.eps)
    return {
        "weight": Explicit((normal * out).reshape(B, -1, *module.normalized_shape).sum(1)),
        "bias": Explicit(out.reshape(B, -1, *module.normalized_shape).sum(1)),
    }


def embedding(module: nn.Embedding, ids: Tensor, out: Tensor, B: int) -> dict[str, Part]:
    """The gradients of equal tokens of an example are added up before its norm is taken."""
    ids_BT, out_BTD = ids.reshape(B, -1), out.reshape(B, -1, module.embedding_dim)
    if module.padding_idx is not None:
        out_BTD = out_BTD * (ids_BT != module.padding_idx)[..., None]
    first_BT = (ids_BT[:, :, None] == ids_BT[:, None, :]).to(torch.uint8).argmax(2)
    gathered_BTD = torch.zeros_like(out_BTD).scatter_add_(1, first_BT[..., None].expand_as(out_BTD), out_BTD)
    return {"weight": _Rows(ids_BT, gathered_BTD, module.num_embeddings)}


@dataclass(frozen=True, slots=True)
class _Rows:
    """Gradients that are zero but in some rows of the parameter; no row twice in an example."""

    ids_BT: Tensor
    gradient_BTD: Tensor
    rows: int

    def squared_norms(self) -> Tensor:
        return Explicit(self.gradient_BTD).squared_norms()

    def weighted_sum(self, weight_B: Tensor) -> Tensor:
        weighted = (self.gradient_BTD * weight_B[:, None, None]).flatten(0, 1)
        total = weighted.new_zeros(self.rows, weighted.shape[1])
        return total.index_add_(0, self.ids_BT.flatten(), weighted)


def class_token(module: ClassToken, x: Tensor, out: Tensor, B: int) -> dict[str, Part]:
    """The token is the first position of the output."""
    return {"weight": Explicit(_examples(out[:, 0], B).sum(1))}


def positions(module: Positions, x: Tensor, out: Tensor, B: int) -> dict[str, Part]:
    """Only the first L places of the parameter are used."""
    gradient_BLD = _examples(out, B).sum(1)
    unused = len(module.weight) - gradient_BLD.shape[1]
    return {"weight": Explicit(gradient_BLD, lambda total_LD: functional.pad(total_LD, (0, 0, 0, unused)))}


RULES: dict[type[nn.Module], Rule] = {
    nn.Linear: linear,
    nn.Conv2d: conv2d,
    StandardizedConv2d: standardized_conv2d,
    SkipInit: skip_init,
    nn.GroupNorm: group_norm,
    nn.LayerNorm: layer_norm,
    nn.Embedding: embedding,
    ClassToken: class_token,
    Positions: positions,
}


def why_no_rule(module: nn.Module) -> str:
    """Why the module's parameters have no rule, or "". A subclass may compute otherwise: it has none."""
    if type(module) not in RULES:
        return f"no rule for the parameters of {type(module).__name__}"
    if isinstance(module, nn.Conv2d) and (module.padding_mode != "zeros" or isinstance(module.padding, str)):
        return f"no rule for a convolution with padding {module.padding!r} of {module.padding_mode}"
    if isinstance(module, nn.Embedding) and (module.max_norm is not None or module.scale_grad_by_freq):
        return "no rule for an embedding with max_norm or scale_grad_by_freq"
    return ""
