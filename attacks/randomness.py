"""Random numbers keyed by (seed, stream, example id): the same for an example wherever it is computed.

Philox-4×32-10, a counter-based generator (Salmon et al. 2011, doi:10.1145/2063384.2063405): output is
a pure function of a key (seed and stream) and a counter (id, draw, position in the row). So neither
batch size, nor order, nor shard, nor device changes what an example is given.

Shapes: ids_B int64; results float32 B×shape. Words of 32 bits live in int64 tensors.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["normal", "philox", "uniform"]

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10

Words = tuple[Tensor, Tensor, Tensor, Tensor]


def philox(counter: Words, key: tuple[int, int]) -> Words:
    """Four words of output for four words of counter; shapes broadcast."""
    c0, c1, c2, c3 = torch.broadcast_tensors(*counter)  # type: ignore[no-untyped-call]  # torch's own gap
    k0, k1 = key
    for _ in range(_ROUNDS):
        # The 64-bit products wrap into the sign bit; masking after the arithmetic shift undoes it. Odd words
        # keep their upper halves until the end, since the next round only mixes them in before its mask.
        product0, product1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0 = (product1 >> 32).bitwise_xor_(c1).bitwise_xor_(k0).bitwise_and_(_MASK)
        c2 = (product0 >> 32).bitwise_xor_(c3).bitwise_xor_(k1).bitwise_and_(_MASK)
        c1, c3 = product1, product0
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return c0, c1 & _MASK, c2, c3 & _MASK


Draw = int | Tensor
"""Which of a stream's independent draws: one number, or one for each id (int64 B)."""


def _words(ids_B: Tensor, count: int, *, seed: int, stream: str, draw: Draw) -> Tensor:
    """`count` words for each id: B×count."""
    digest = hashlib.blake2b(f"{seed}/{stream}".encode(), digest_size=8).digest()
    key = (int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little"))
    ids_B1 = ids_B.to(torch.int64)[:, None]
    position = torch.arange((count + 3) // 4, device=ids_B.device)[None, :]
    draws = draw.to(torch.int64)[:, None] if isinstance(draw, Tensor) else torch.full_like(position, draw)
    words = philox((position, draws, ids_B1 & _MASK, (ids_B1 >> 32) & _MASK), key)
    return torch.stack(words, dim=2).flatten(1)[:, :count]


def uniform(ids_B: Tensor, shape: Sequence[int], *, seed: int, stream: str, draw: Draw = 0) -> Tensor:
    """Uniform on [0, 1) in steps of 2⁻²⁴; `draw` numbers independent draws of one stream."""
    words = _words(ids_B, math.prod(shape), seed=seed, stream=stream, draw=draw)
    return (words >> 8).to(torch.float32).mul_(2.0**-24).view(len(ids_B), *shape)


def normal(ids_B: Tensor, shape: Sequence[int], *, seed: int, stream: str, draw: Draw = 0) -> Tensor:
    """Standard normal, by Box and Muller from pairs of words."""
    count = math.prod(shape)
    half = (count + 1) // 2
    words = _words(ids_B, 2 * half, seed=seed, stream=stream, draw=draw) >> 8
    unit = words.to(torch.float32).add_(0.5).mul_(2.0**-24)  # never 0, whose logarithm is infinite
    radius = unit[:, :half].log().mul_(-2.0).sqrt_()
    angle = unit[:, half:].mul(2 * math.pi)
    pairs = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)
    return pairs[:, :count].reshape(len(ids_B), *shape)
