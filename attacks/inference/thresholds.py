"""One threshold for all examples, with no shadow model: the baselines that a stronger attack has to beat.

    loss               what the model fits well it has seen         Yeom et al., arXiv:1709.01604
    confidence         what it is sure of, whatever the label       Salem et al., arXiv:1806.01246
    entropy            what it is not torn about                    Song & Mittal, arXiv:2003.10595
    modified_entropy   entropy that knows the label                 Song & Mittal, arXiv:2003.10595

Each gives one float64 for each example; larger means more likely a member.
"""

from __future__ import annotations

from raiaudit.attacks.inference.signals import Floats, Signals, Uncertainty
from raiaudit.errors import UsageError

__all__ = ["confidence", "entropy", "loss", "modified_entropy"]


def loss(signals: Signals) -> Floats:
    """One threshold on the loss: minus the cross-entropy."""
    return -signals.loss


def confidence(signals: Signals) -> Floats:
    """One threshold on the confidence in the predicted class: its logit; needs no label."""
    return _known(signals, "confidence").confidence_N


def entropy(signals: Signals) -> Floats:
    """One threshold on the entropy of the prediction, negated; needs no label."""
    return -_known(signals, "entropy").entropy_N


def modified_entropy(signals: Signals) -> Floats:
    """One threshold on the entropy that knows the label, negated."""
    return -_known(signals, "modified_entropy").modified_entropy_N


def _known(signals: Signals, attack: str) -> Uncertainty:
    if signals.uncertainty is None:
        raise UsageError(
            "φ alone does not tell how the probability is spread over the other classes",
            where=attack,
            remedy="pass `uncertainty(logits, y)` of the target in the signals",
        )
    return signals.uncertainty
