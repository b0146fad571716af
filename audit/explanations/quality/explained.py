"""Maps by the name of their method, as the checks of this folder ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import AfterValidator

from raiaudit.audit.explanations.methods import METHODS, find_method, obstacle
from raiaudit.audit.explanations.methods.guided import GuidedBackpropagation
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from raiaudit.audit.explanations.methods.views import View
    from raiaudit.audit.subject import Subject

__all__ = ["KNOWN_BAD", "MethodNames", "generators", "maps_of"]

KNOWN_BAD = GuidedBackpropagation.name
"""A method that no spec may name; a test of methods that it passes is broken."""


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in METHODS:
            raise ValueError(f"{name!r} is no attribution method; there are {', '.join(sorted(METHODS))}")
    if not names:
        raise ValueError("name at least one method")
    return tuple(dict.fromkeys(names))


MethodNames = Annotated[tuple[str, ...], AfterValidator(_known)]
"""Names of the catalogue of methods, each once."""


def generators(seed: int, examples: Sequence[str], *key: str | int) -> list[np.random.Generator]:
    """One for each example, whatever shard it is in."""
    return [keyed_rng(seed, "explanations", *key, example) for example in examples]


def maps_of(
    name: str, view: View, target_B: Tensor, *, subject: Subject, examples: Sequence[str]
) -> NDArray[np.float64]:
    """The maps B×F of one method. Raises `CapabilityError` where it cannot explain this model."""
    method = GuidedBackpropagation() if name == KNOWN_BAD else find_method(name)
    if (reason := obstacle(method, subject)) is not None:
        raise CapabilityError(reason)
    found = method.explain(view, target_B, rngs=generators(subject.seed, examples, "method", name))
    return found.scores_BF.detach().cpu().numpy()
