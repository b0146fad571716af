"""Inference: scores over signals of a model that tell members from non-members.

A score takes `Signals` and gives one float64 for each example; larger always means "more likely a member".

    loss                one threshold on the loss; no shadows             arXiv:1709.01604
    confidence          on the confidence in the predicted class          arXiv:1806.01246
    entropy             on the entropy of the prediction                  arXiv:2003.10595
    modified_entropy    on the entropy that knows the label               arXiv:2003.10595
    lira                likelihood ratio, shadows in and out              arXiv:2112.03570
    rmia                share of a population beaten, in and out          arXiv:2312.03562
    base                Bayes score under an exponential model, ditto     arXiv:2505.24089
    bavaria_t, _n       LiRA with Bayesian variances, ditto               arXiv:2603.11799
    …_offline           the same from shadows without the example
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from raiaudit.attacks.inference import base, bavaria, lira, rmia, thresholds
from raiaudit.attacks.inference.signals import Floats, Signals, Uncertainty, phi, uncertainty

__all__ = ["INFERENCE", "InferenceAttack", "Signals", "Uncertainty", "phi", "uncertainty"]

InferenceAttack = Callable[[Signals], Floats]

INFERENCE: dict[str, InferenceAttack] = {
    "loss": thresholds.loss,
    "confidence": thresholds.confidence,
    "entropy": thresholds.entropy,
    "modified_entropy": thresholds.modified_entropy,
    "lira": lira.score,
    "lira_offline": partial(lira.score, online=False),
    "rmia": rmia.score,
    "rmia_offline": partial(rmia.score, online=False),
    "base": base.score,
    "base_offline": partial(base.score, online=False),
    "bavaria_t": bavaria.score,
    "bavaria_t_offline": partial(bavaria.score, online=False),
    "bavaria_n": partial(bavaria.score, density="normal"),
    "bavaria_n_offline": partial(bavaria.score, density="normal", online=False),
}
