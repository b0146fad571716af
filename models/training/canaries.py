"""Canaries in gradient space: how well DP-SGD hides one example whose gradient is as bad as it may be.

A Dirac canary (Nasr et al., arXiv:2302.07956; Steinke et al., arXiv:2305.08846, section 6) has the gradient
C·e_j, all of what clipping allows in one coordinate that no other canary has. An included one takes part in
each step by its own Poisson coin, like any example. The observer sees every noisy update and knows what the
other examples contributed, which is the adversary the accountant assumes: the residual of a step, in
units of C, is N(0, σ²) without the canary and (1 − q)·N(0, σ²) + q·N(1, σ²) with it. The score is the sum
over steps of the logarithm of the ratio of these densities, which no test of the residuals beats.

Legend: M canaries, P trainable parameters in all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from raiaudit.errors import UsageError
from raiaudit.models.training.seeding import derived

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["GradientCanaries"]


class GradientCanaries:
    """`included_M` says which of M canaries take part; `scores_M` (larger: more likely included) grows
    step by step.

    Raises `UsageError` at the first step of a model that has fewer parameters than there are canaries.
    """

    def __init__(self, included_M: NDArray[np.bool_], *, seed: int) -> None:
        self.included_M = included_M
        self.scores_M = np.zeros(len(included_M))
        self._rng = np.random.default_rng(derived(seed, "gradient canaries"))
        self._places: dict[str, tuple[NDArray[np.int64], Tensor]] = {}
        self._others: dict[str, Tensor] = {}
        self._clip = self._sample_rate = math.nan

    def plant(self, sums: dict[str, Tensor], *, clip: float, sample_rate: float) -> None:
        """Add this step's canaries to the clipped sums, before noise."""
        self._places = self._places or self._placed(sums)
        self._clip, self._sample_rate = clip, sample_rate
        present_M = self.included_M & (self._rng.random(len(self.included_M)) < sample_rate)
        for name, (canaries, place) in self._places.items():
            sums[name] = sums[name].contiguous()
            flat = sums[name].view(-1)
            self._others[name] = flat[place].clone()
            flat[place] += clip * torch.from_numpy(present_M[canaries]).to(flat)

    def watch(self, named: Mapping[str, Tensor], *, divisor: float, sigma: float) -> None:
        """Look at the gradients that the step has left in `.grad`."""
        q = self._sample_rate
        for name, (canaries, place) in self._places.items():
            gradient = named[name].grad
            assert gradient is not None
            residual = gradient.reshape(-1)[place] * divisor - self._others[name]
            x = residual.double().cpu().numpy() / self._clip
            self.scores_M[canaries] += np.logaddexp(
                math.log1p(-q) if q < 1 else -math.inf, math.log(q) + (x - 0.5) / sigma**2
            )

    def _placed(self, sums: Mapping[str, Tensor]) -> dict[str, tuple[NDArray[np.int64], Tensor]]:
        """For each parameter that holds canaries: which, and at which flat index."""
        sizes = [total.numel() for total in sums.values()]
        if sum(sizes) < len(self.included_M):
            raise UsageError(
                f"{len(self.included_M)} gradient canaries do not fit into {sum(sizes)} parameters",
                remedy=f"ask for at most {sum(sizes)} canaries",
            )
        place_M = self._rng.choice(sum(sizes), size=len(self.included_M), replace=False)
        ends = np.cumsum(sizes)
        owner_M = np.searchsorted(ends, place_M, side="right")
        places = {}
        for index, (name, total) in enumerate(sums.items()):
            canaries = np.flatnonzero(owner_M == index)
            if len(canaries):
                local = place_M[canaries] - (ends[index] - sizes[index])
                places[name] = canaries, torch.from_numpy(local).to(total.device)
        return places
