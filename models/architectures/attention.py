"""Transformer encoder (Vaswani et al., arXiv:1706.03762), pre-norm: what every family here shares.

Attention is four linear maps around `scaled_dot_product_attention`, so that it equals
`nn.MultiheadAttention` with the same weights, can show its attention map, and gives per-example
gradients. While someone looks on (`seen_by`) the map is computed openly, and is part of the graph.
Parameters that belong to no layer (class token, positions) live in modules of their own.

Legend: B examples, L tokens, D width, H heads of width E. A mask_BL is true where there is a token.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from raiaudit.errors import UsageError

__all__ = ["Attention", "Block", "ClassToken", "Encoder", "GatedFeedForward", "Positions", "feed_forward"]


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if width % heads:
            raise UsageError(
                f"width {width} is not a multiple of heads {heads}",
                where="options.heads",
                remedy="choose heads that divide the width",
            )
        self.heads = heads
        self.dropout = dropout
        self.seen_by: Callable[[Tensor, Tensor], Tensor] | None = None
        """weights_BHLL, mixed_BLHE → what is handed on in place of mixed_BLHE."""
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x_BLD: Tensor, mask_BL: Tensor | None = None) -> Tensor:
        """Tokens mixed by attention, x_BLD."""
        if self.seen_by is not None:
            weights_BHLL = self.weights(x_BLD, mask_BL)
            mixed_BLHE = (weights_BHLL @ self._split(self.value(x_BLD))).transpose(1, 2)
            seen_BLD: Tensor = self.out(self.seen_by(weights_BHLL, mixed_BLHE).flatten(2))
            return seen_BLD
        mixed_BHLE = functional.scaled_dot_product_attention(
            self._split(self.query(x_BLD)),
            self._split(self.key(x_BLD)),
            self._split(self.value(x_BLD)),
            attn_mask=None if mask_BL is None else mask_BL[:, None, None, :],
            dropout_p=self.dropout if self.training else 0.0,
        )
        out_BLD: Tensor = self.out(mixed_BHLE.transpose(1, 2).flatten(2))
        return out_BLD

    def weights(self, x_BLD: Tensor, mask_BL: Tensor | None = None) -> Tensor:
        """The attention map, weights_BHLL: row = the token that looks, column = the token looked at."""
        query_BHLE, key_BHLE = self._split(self.query(x_BLD)), self._split(self.key(x_BLD))
        scores_BHLL = query_BHLE @ key_BHLE.transpose(-1, -2) / math.sqrt(query_BHLE.shape[-1])
        if mask_BL is not None:
            scores_BHLL = scores_BHLL.masked_fill(~mask_BL[:, None, None, :], -math.inf)
        return scores_BHLL.softmax(-1)

    def _split(self, x_BLD: Tensor) -> Tensor:
        B, L, D = x_BLD.shape
        return x_BLD.view(B, L, self.heads, D // self.heads).transpose(1, 2)


def feed_forward(width: int, hidden: int, dropout: float = 0.0) -> nn.Module:
    """Linear → GELU → Linear."""
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width))


class GatedFeedForward(nn.Module):
    """ReGLU (arXiv:2002.05202): one half of a linear map, gated by the ReLU of the other."""

    def __init__(self, width: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.inner = nn.Linear(width, 2 * hidden)
        self.dropout = nn.Dropout(dropout)
        self.outer = nn.Linear(hidden, width)

    def forward(self, x_BLD: Tensor) -> Tensor:
        """x_BLD → x_BLD."""
        value, gate = self.inner(x_BLD).chunk(2, dim=-1)
        out_BLD: Tensor = self.outer(self.dropout(value * functional.relu(gate)))
        return out_BLD


class Block(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x))."""

    def __init__(
        self, width: int, heads: int, feedforward: nn.Module, *, dropout: float, first_norm: bool
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width) if first_norm else nn.Identity()
        self.attention = Attention(width, heads, dropout)
        self.norm2 = nn.LayerNorm(width)
        self.feedforward = feedforward
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BLD: Tensor, mask_BL: Tensor | None = None) -> Tensor:
        """x_BLD → x_BLD."""
        x_BLD = x_BLD + self.dropout(self.attention(self.norm1(x_BLD), mask_BL))
        out_BLD: Tensor = x_BLD + self.dropout(self.feedforward(self.norm2(x_BLD)))
        return out_BLD


class Encoder(nn.Module):
    """`depth` blocks and a last norm. `feedforward()` makes the inner layer of each block."""

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        heads: int,
        feedforward: Callable[[], nn.Module],
        dropout: float = 0.0,
        first_norm: bool = True,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(width, heads, feedforward(), dropout=dropout, first_norm=first_norm or number > 0)
            for number in range(depth)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x_BLD: Tensor, mask_BL: Tensor | None = None) -> Tensor:
        """x_BLD → x_BLD."""
        for block in self.blocks:
            x_BLD = block(x_BLD, mask_BL)
        out_BLD: Tensor = self.norm(x_BLD)
        return out_BLD

    def attention_weights(self, x_BLD: Tensor, mask_BL: Tensor | None = None) -> list[Tensor]:
        """The map of each block, first to last, weights_BHLL."""
        maps = []
        for block in self.blocks:
            assert isinstance(block, Block)
            maps.append(block.attention.weights(block.norm1(x_BLD), mask_BL))
            x_BLD = block(x_BLD, mask_BL)
        return maps


class ClassToken(nn.Module):
    """A learned token put before the others; its output is what the head reads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width) * 0.02)

    def forward(self, x_BLD: Tensor) -> Tensor:
        """B×L×D → B×(L+1)×D."""
        return torch.cat([self.weight.expand(x_BLD.shape[0], 1, -1), x_BLD], dim=1)


class Positions(nn.Module):
    """Learned positions, added to the first L of at most `length` places."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(length, width) * 0.02)

    def forward(self, x_BLD: Tensor) -> Tensor:
        """x_BLD → x_BLD."""
        return x_BLD + self.weight[: x_BLD.shape[1]]
