"""Inference: scores over signals of a model that tell members from non-members.

A score takes `Signals` and gives one float64 for each example; larger always means "more likely a member".

    loss_threshold   one threshold on the loss; no shadows         arXiv:1709.01604
    lira             likelihood ratio, shadows in and out          arXiv:2112.03570
    lira_offline     the same from shadows without the example     arXiv:2112.03570
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from raiaudit.attacks.inference import lira, loss_threshold
from raiaudit.attacks.inference.signals import Floats, Signals, phi

__all__ = ["INFERENCE", "InferenceAttack", "Signals", "phi"]

InferenceAttack = Callable[[Signals], Floats]

INFERENCE: dict[str, InferenceAttack] = {
    "loss_threshold": loss_threshold.score,
    "lira": lira.score,
    "lira_offline": partial(lira.score, online=False),
}
