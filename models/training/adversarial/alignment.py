"""GradAlign (Andriushchenko & Flammarion, arXiv:2007.02617): the loss is kept linear inside the ball.

    misalignment = 1 − mean cos(∇ₓℓ(x), ∇ₓℓ(x + η)), η uniform in the ball

It is zero for a linear loss, whose single step is the best attack, and is minimised through a second
backward. Both gradients are taken in one pass in evaluation mode, of the function that is attacked and
will be served; running statistics are left alone. An example without a gradient does not count.

Shapes: x of any shape B×…, y_B int64 labels.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from raiaudit.attacks.evasion.base import LogitsOf
from raiaudit.attacks.evasion.engine.balls import BALLS
from raiaudit.attacks.threats import Norm

__all__ = ["misalignment"]


def misalignment(
    classifier: LogitsOf, x: Tensor, y_B: Tensor, *, norm: Norm, eps: float, generator: torch.Generator
) -> Tensor:
    """A scalar in [0, 2] with its graph. The classifier's mode is the caller's; it is called once, on the
    B clean inputs followed by the B moved ones.
    """
    B = len(x)
    clean = x.detach()
    uniform = partial(torch.rand, x.shape, generator=generator, device=x.device, dtype=x.dtype)
    normal = partial(torch.randn, x.shape, generator=generator, device=x.device, dtype=x.dtype)
    both = torch.cat([clean, clean + BALLS[norm].random(uniform, normal, eps)]).requires_grad_()
    # The fused attention kernels have no second derivative.
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        loss = functional.cross_entropy(classifier(both), y_B.repeat(2), reduction="sum")
        (grad,) = torch.autograd.grad(loss, both, create_graph=True)
    here_BD, there_BD = grad.flatten(1).view(2, B, -1)
    counts_B = (here_BD != 0).any(1) & (there_BD != 0).any(1)
    # What does not count is replaced before the cosine, whose derivative at zero is not a number.
    here_BD, there_BD = (g.where(counts_B[:, None], 1.0) for g in (here_BD, there_BD))
    gaps_B = 1 - unit(here_BD).mul(unit(there_BD)).sum(1)
    mean: Tensor = gaps_B.where(counts_B, 0.0).sum() / counts_B.sum().clamp_min(1)
    return mean


def unit(rows_BD: Tensor) -> Tensor:
    """Rows of L2 norm 1. Scaled first: squares of small float32 gradients would vanish."""
    peak_B1 = rows_BD.detach().abs().amax(1, keepdim=True)
    scaled_BD = rows_BD / peak_B1
    norm_B1: Tensor = torch.linalg.vector_norm(scaled_BD, dim=1, keepdim=True)
    return scaled_BD / norm_B1
