"""Max-sensitivity: how far a map moves when the input hardly does.

C.-K. Yeh et al., arXiv:1901.09392: max over ‖δ‖∞ ≤ r of ‖Φ(x + δ) − Φ(x)‖₂ / ‖Φ(x)‖₂, here the largest of a
few uniform δ (a lower bound of the maximum; `explanations.stability` searches for it). r is in units of an
element: the pixel's range, a table column's standard deviation, the spread of an embedded token. A method
that draws at random is given the same draws at x and at x + δ: what is measured is the input's doing. Shapes:
B examples, F features. NaN for maps of zeros.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from raiaudit.audit.explanations.methods.views import View

__all__ = ["max_sensitivity"]


def max_sensitivity(
    explain: Callable[[View], NDArray[np.float64]],
    view: View,
    scores_BF: NDArray[np.float64],
    rngs: Callable[[int], Sequence[np.random.Generator]],
    *,
    draws: int,
    radius: Tensor,
) -> NDArray[np.float64]:
    """`explain` makes the maps of a view, `scores_BF` are those at x; `radius` broadcasts against x B×….
    `rngs` gives each draw its generators, one an example.
    """
    import torch

    largest_B = np.zeros(len(scores_BF))
    for draw in range(draws):
        unit = np.stack([rng.uniform(-1, 1, size=view.x.shape[1:]) for rng in rngs(draw)])
        moved = view.x + radius * torch.from_numpy(unit).to(view.x)
        distance_B = np.linalg.norm(explain(replace(view, x=moved)) - scores_BF, axis=1)
        largest_B = np.maximum(largest_B, distance_B)
    norm_B = np.linalg.norm(scores_BF, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(norm_B > 0, largest_B / norm_B, np.nan)
