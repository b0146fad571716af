"""Maps by the name of their method, as the checks of this folder ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import AfterValidator

from raiaudit.audit.explanations.methods import METHODS, find_method
from raiaudit.audit.explanations.methods.guided import GuidedBackpropagation
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from raiaudit.audit.explanations.methods.method import Method
    from raiaudit.audit.explanations.methods.views import View

__all__ = ["KNOWN_BAD", "MethodNames", "generators", "maps_of", "unable"]

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


def _method(name: str) -> Method:
    return GuidedBackpropagation() if name == KNOWN_BAD else find_method(name)


def unable(name: str, modality: str) -> str | None:
    """Why a method makes no maps of such inputs, if it does not."""
    if modality in _method(name).modalities:
        return None
    return f"{name} does not explain {modality} models"


def generators(seed: int, examples: Sequence[str], *key: str | int) -> list[np.random.Generator]:
    """One for each example, whatever shard it is in."""
    return [keyed_rng(seed, "explanations", *key, example) for example in examples]


def maps_of(
    name: str, view: View, target_B: Tensor, *, seed: int, examples: Sequence[str], modality: str
) -> NDArray[np.float64]:
    """The maps B×F of one method. Raises `CapabilityError` where it cannot explain this model."""
    if (reason := unable(name, modality)) is not None:
        raise CapabilityError(reason)
    found = _method(name).explain(view, target_B, rngs=generators(seed, examples, "method", name))
    return found.scores_BF.detach().cpu().numpy()
