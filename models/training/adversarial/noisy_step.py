"""N-FGSM (de Jorge et al., arXiv:2202.01181): one step from a point far out in noise, not projected back.

    x₀ = x + η, η uniform in [−2ε, 2ε];   x' = x₀ + α · sign ∇ℓ(x₀), α = ε

Both points are held to the box, as in the authors' code, but x' is not held to the ball: that is what
keeps single-step training from catastrophic overfitting. Defined in L∞.

Shapes: x of any shape B×…, y_B int64 labels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from raiaudit.attacks.evasion.base import LogitsOf
from raiaudit.attacks.evasion.engine.balls import BALLS

__all__ = ["noisy_step"]

_SPREAD = 2.0  # of the noise, in units of eps: the k of the paper


def noisy_step(
    classifier: LogitsOf,
    x: Tensor,
    y_B: Tensor,
    *,
    eps: float,
    step_size: float,
    low: float,
    high: float,
    generator: torch.Generator,
) -> Tensor:
    """The perturbed inputs, detached; at most 2·eps + step_size from `x` in every value."""
    noise = torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    noise = noise.mul_(2 * _SPREAD * eps).sub_(_SPREAD * eps)
    noisy = (x.detach() + noise).clamp_(low, high).requires_grad_()
    with torch.enable_grad():
        loss = functional.cross_entropy(classifier(noisy), y_B, reduction="sum")
    (grad,) = torch.autograd.grad(loss, noisy)
    return BALLS["linf"].ascent(grad).mul_(step_size).add_(noisy.detach()).clamp_(low, high)
