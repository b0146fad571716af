"""Maps by the name of their method, as the checks of this folder ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from raiaudit.audit.explanations.methods import find_method, obstacle
from raiaudit.audit.explanations.methods.guided import GuidedBackpropagation
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from raiaudit.audit.explanations.methods.views import View
    from raiaudit.audit.subject import Subject

__all__ = ["KNOWN_BAD", "generators", "maps_of"]

KNOWN_BAD = GuidedBackpropagation.name
"""A method that no spec may name; a test of methods that it passes is broken."""


def generators(seed: int, examples: Sequence[str], *key: str | int) -> list[np.random.Generator]:
    """One for each example, whatever shard it is in."""
    return [keyed_rng(seed, "explanations", *key, example) for example in examples]


def maps_of(
    name: str,
    view: View,
    target_B: Tensor,
    *,
    subject: Subject,
    examples: Sequence[str],
    layer: str | None = None,
) -> NDArray[np.float64]:
    """The maps B×F of one method; `layer` is where it looks, if it looks at one.

    Raises `CapabilityError` where it cannot explain this model.
    """
    method = GuidedBackpropagation() if name == KNOWN_BAD else find_method(name, layer=layer)
    if (reason := obstacle(method, subject)) is not None:
        raise CapabilityError(reason)
    found = method.explain(view, target_B, rngs=generators(subject.seed, examples, "method", name))
    return found.scores_BF.detach().cpu().numpy()
