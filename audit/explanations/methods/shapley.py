"""Shapley values of columns, words and squares of an image: exact, and by KernelSHAP.

The game's value is the logit of the class with only some players present (a black box's: the logarithm of its
score); who is absent is at the view's baseline. The design is in `coalitions.py`; it depends on the number of
players alone, so examples with as many share it, and no map depends on its batch.

Shapes: B examples, P players, M coalitions. Errors: `CapabilityError` for too many columns to enumerate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from raiaudit.audit.explanations.methods.coalitions import Design, every_coalition, paired_design
from raiaudit.audit.explanations.methods.method import ANSWERS, EVERY_MODALITY, Maps, share_unaccounted
from raiaudit.audit.explanations.methods.players import Players, players_of
from raiaudit.errors import CapabilityError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from raiaudit.audit.check import Capability
    from raiaudit.audit.explanations.methods.views import View

__all__ = ["ExactShapley", "KernelSHAP"]

_ENUMERABLE = 14


@dataclass(frozen=True, kw_only=True)
class KernelSHAP:
    """`samples` coalitions an example, the same for all with as many players; images in `grid`² squares."""

    samples: int = 512
    grid: int = 7
    seed: int = 0

    name: ClassVar[str] = "kernel_shap"
    modalities: ClassVar[frozenset[str]] = EVERY_MODALITY
    needs: ClassVar[frozenset[Capability]] = ANSWERS
    signed: ClassVar[bool] = True
    citation: ClassVar[str] = "lundberg2017"

    def explain(self, view: View, target_B: Tensor, *, rngs: Sequence[np.random.Generator]) -> Maps:
        """The values add up by construction."""
        players = players_of(view, grid=self.grid)
        return _values(players, target_B, partial(paired_design, samples=self.samples, seed=self.seed))


@dataclass(frozen=True, kw_only=True)
class ExactShapley:
    """All 2ⁿ coalitions of n ≤ 14 players; images in `grid`² squares, longer texts in 14 runs of words."""

    grid: int = 3

    name: ClassVar[str] = "shapley"
    modalities: ClassVar[frozenset[str]] = EVERY_MODALITY
    needs: ClassVar[frozenset[Capability]] = ANSWERS
    signed: ClassVar[bool] = True
    citation: ClassVar[str] = "shapley1953"

    def explain(self, view: View, target_B: Tensor, *, rngs: Sequence[np.random.Generator]) -> Maps:
        """Exact: nothing is sampled."""
        players = players_of(view, grid=self.grid, most=_ENUMERABLE)
        if (most := int(players.count_B.amax())) > _ENUMERABLE:
            raise CapabilityError(
                f"exact Shapley values of {most} features take 2^{most} answers an example",
                remedy=f"choose kernel_shap; shapley is for at most {_ENUMERABLE}",
            )
        return _values(players, target_B, every_coalition)


def _values(players: Players, target_B: Tensor, design_of: Callable[[int], Design]) -> Maps:
    """Each row's values, rows with as many players together."""
    import torch

    count_B, device = players.count_B, target_B.device
    score_BP = torch.zeros(len(count_B), max(1, int(count_B.amax())), dtype=torch.float64, device=device)
    error_B, asked = torch.zeros(len(count_B), dtype=torch.float64, device=device), 0
    for n in sorted(set(count_B.tolist())):
        design = design_of(n)
        rows = (count_B == n).nonzero()[:, 0]
        present_MP = torch.ones(len(design.present_MN), score_BP.shape[1], dtype=torch.bool, device=device)
        present_MP[:, :n] = torch.from_numpy(design.present_MN).to(device)
        M = len(present_MP)
        answers_RM = players.answers(
            rows.repeat_interleave(M), present_MP.repeat(len(rows), 1), target_B
        ).view(len(rows), M)
        # Less the empty coalition's answer, which changes no value: who does nothing has exactly 0.
        value_RN = (answers_RM - answers_RM[:, :1]) @ torch.from_numpy(design.matrix_MN).to(device)
        score_BP[rows, :n] = value_RN
        error_B[rows] = share_unaccounted(value_RN, answers_RM[:, -1] - answers_RM[:, 0])
        asked += M * len(rows)
    return Maps(players.spread(score_BP), error_B, passes=asked / len(count_B))
