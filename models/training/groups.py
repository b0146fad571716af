"""Which group each training example is in, as fair training takes it.

Shapes: N examples, G groups. A missing value of an attribute is a level like any other, "unknown".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from raiaudit.errors import UsageError
from raiaudit.models.recipe import require_attribute

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.models.data.dataset import Split

__all__ = ["levels_of"]


def levels_of(split: Split, attribute: str) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The levels of the group column `attribute`, sorted, and the level_N of every example.

    Raises `UsageError` when there is no such column, or only one level in it.
    """
    require_attribute(attribute, split.groups.columns)
    levels, level_N = np.unique(split.groups[attribute].to_numpy(), return_inverse=True)
    if len(levels) < 2:
        raise UsageError(
            f"every training example has {attribute} {str(levels[0])!r}: there are no groups to be fair to",
            where="recipe.fairness.attribute",
            remedy="choose an attribute with two levels or more, or use kind: standard",
        )
    return tuple(map(str, levels)), level_N.astype(np.int64)
