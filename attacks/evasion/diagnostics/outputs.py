"""Classifiers through glasses: with a gradient where they have none, as logits where they give shares."""

from __future__ import annotations

import torch
from torch import Tensor

from raiaudit.attacks.evasion.base import LogitsOf, prepared

__all__ = ["class_count", "logarithm", "with_gradient"]


def class_count(classifier: LogitsOf, x: Tensor) -> int:
    """K."""
    with prepared(classifier), torch.no_grad():
        return int(classifier(x[:2]).shape[1])


def with_gradient(classifier: LogitsOf, x: Tensor) -> LogitsOf:
    """The classifier; one that gives no gradient at all is given one that is zero, as its own is.

    An evaluation shall say that the gradient is dead, not end with an error.
    """
    probe = x[:2].detach().requires_grad_()
    with prepared(classifier), torch.enable_grad():
        if classifier(probe).requires_grad:
            return classifier
    return lambda inputs: classifier(inputs) + 0 * inputs.flatten(1).sum(1, keepdim=True)


def logarithm(classifier: LogitsOf) -> LogitsOf:
    """Logits of a classifier that answers with probabilities."""
    tiny = torch.finfo(torch.float32).tiny
    return lambda inputs: classifier(inputs).float().clamp_min(tiny).log()
