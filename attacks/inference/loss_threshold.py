"""Membership by the loss alone (Yeom et al., arXiv:1709.01604): what the model fits well, it has seen.

One score for all examples, with no shadow model; the baseline that every stronger attack has to beat.
"""

from __future__ import annotations

from raiaudit.attacks.inference.signals import Floats, Signals

__all__ = ["score"]


def score(signals: Signals) -> Floats:
    """Minus the cross-entropy: larger means more likely a member."""
    return -signals.loss
