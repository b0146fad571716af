"""Infidelity: does a map's sum over a patch foretell what removing the patch does?

C.-K. Yeh et al., arXiv:1901.09392: E[(IᵀΦ − (f(x) − f(x − I)))²]. I removes a patch (a rectangle of an image,
a run of words, a set of columns) to the baseline; for a map by feature IᵀΦ is then the map's sum over the
patch. Maps come in any unit, so each is first scaled by the factor that suits it best (the paper's optimal
scaling; a negative factor, which would praise the opposite map, is taken as 0), and the error is divided by
E[(f(x) − f(x − I))²]: 0 foretells everything, 1 is no better than a map of zeros. f is the logit.

The patches and their effects belong to the example, not to the map: they are computed once for all maps.
Shapes: B examples, S patches each, F features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from raiaudit.audit.explanations.quality.traces import answers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from raiaudit.audit.explanations.methods.views import View

__all__ = ["infidelity", "patch_effects", "patches"]


def patches(
    present_BF: NDArray[np.bool_],
    rngs: Sequence[np.random.Generator],
    *,
    samples: int,
    shape: tuple[int, int] | None,
    ordered: bool = True,
) -> NDArray[np.bool_]:
    """B×S×F. With `shape` (H, W) rectangles up to half of each side; else runs of present features where they
    are `ordered`, sets where they are not, of one to half of them.
    """
    B, F = present_BF.shape
    removed_BSF = np.zeros((B, samples, F), dtype=bool)
    for row, rng in enumerate(rngs):
        here = np.flatnonzero(present_BF[row])
        if not len(here):
            continue
        for sample in range(samples):
            if shape is not None:
                spans = [_span(rng, length) for length in shape]
                removed_BSF[row, sample].reshape(shape)[spans[0], spans[1]] = True
            elif ordered:
                removed_BSF[row, sample, here[_span(rng, len(here))]] = True
            else:
                size = int(rng.integers(1, max(1, len(here) // 2) + 1))
                removed_BSF[row, sample, rng.choice(here, size, replace=False)] = True
    return removed_BSF


def _span(rng: np.random.Generator, length: int) -> slice:
    size = int(rng.integers(1, max(1, length // 2) + 1))
    start = int(rng.integers(0, length - size + 1))
    return slice(start, start + size)


def patch_effects(view: View, removed_BSF: NDArray[np.bool_], target_B: Tensor) -> NDArray[np.float64]:
    """f(x) − f(x without the patch), B×S, in logits."""
    import torch

    B, S, F = removed_BSF.shape
    # The last "patch" is the empty one: f(x) itself.
    removed = torch.from_numpy(np.concatenate([removed_BSF, np.zeros((B, 1, F), dtype=bool)], axis=1))
    row_R = torch.arange(B, device=view.x.device).repeat_interleave(S + 1)
    _, logit_R = answers(view, removed.view(-1, F).to(view.x.device), row_R, target_B)
    logit_BS = logit_R.view(B, S + 1).cpu().numpy()
    effects: NDArray[np.float64] = logit_BS[:, -1:] - logit_BS[:, :-1]
    return effects


def infidelity(
    scores_BF: NDArray[np.float64], removed_BSF: NDArray[np.bool_], effects_BS: NDArray[np.float64]
) -> NDArray[np.float64]:
    """In [0, 1]; NaN where no patch changed anything (beyond float32)."""
    foretold_BS = np.einsum("bsf,bf->bs", removed_BSF, scores_BF, optimize=True)
    actual_B = (effects_BS**2).sum(axis=1)
    both_B = np.maximum((foretold_BS * effects_BS).sum(axis=1), 0)
    own_B = (foretold_BS**2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        explained_B = np.where(own_B > 0, both_B**2 / own_B, 0.0) / actual_B
    still = actual_B <= 1e-10 * effects_BS.shape[1]
    return np.where(still, np.nan, np.clip(1 - explained_B, 0, 1))
