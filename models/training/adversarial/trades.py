"""TRADES (Zhang et al., arXiv:1901.08573): accuracy on clean inputs, and the same answer around them.

    loss = CE(p(x), y) + β · mean KL(p(x) ‖ p(x'))

with x' where the divergence is largest in the ball, sought from x + 0.001·N(0, 1): at x itself its
gradient is zero. The gradient of the loss goes through both arguments of the divergence, as in the
authors' code.

Shapes: logits_BK at the clean inputs, moved_BK at the perturbed ones, y_B int64 labels.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

__all__ = ["divergences", "trades"]


def divergences(logits_BK: Tensor, moved_BK: Tensor) -> Tensor:
    """KL(p ‖ q) of each example, in nats, of p = softmax(logits) and q = softmax(moved)."""
    return functional.kl_div(
        moved_BK.log_softmax(1), logits_BK.log_softmax(1), reduction="none", log_target=True
    ).sum(1)


def trades(
    logits_BK: Tensor, moved_BK: Tensor, y_B: Tensor, *, beta: float, label_smoothing: float = 0.0
) -> Tensor:
    """The loss; label smoothing concerns its first term."""
    natural = functional.cross_entropy(logits_BK, y_B, label_smoothing=label_smoothing)
    return natural + beta * divergences(logits_BK, moved_BK).mean()
