"""Occlusion: what the class's logit loses when a part of the input is taken to the baseline.

M. D. Zeiler, R. Fergus, arXiv:1311.2901. Parts are columns, words, or windows that move over an image; a
pixel has the mean loss of the windows it lies in. All windows of all images are asked about in large batches.

Shapes: B examples, F features, P windows or players, R points to ask about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from raiaudit.audit.explanations.methods.method import ANSWERS, EVERY_MODALITY, Maps
from raiaudit.audit.explanations.methods.players import players_of, points_at_once

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from raiaudit.audit.check import Capability
    from raiaudit.audit.explanations.methods.views import View

__all__ = ["Occlusion"]


@dataclass(frozen=True, kw_only=True)
class Occlusion:
    """Windows of `window` × `window` pixels (by default a seventh of the shorter side), half of it apart."""

    window: int | None = None
    stride: int | None = None

    name: ClassVar[str] = "occlusion"
    modalities: ClassVar[frozenset[str]] = EVERY_MODALITY
    needs: ClassVar[frozenset[Capability]] = ANSWERS
    signed: ClassVar[bool] = True
    citation: ClassVar[str] = "zeiler2014"

    def explain(self, view: View, target_B: Tensor, *, rngs: Sequence[np.random.Generator]) -> Maps:
        """Positive where the class loses."""
        return self._windows(view, target_B) if view.x.dim() == 4 else _parts(view, target_B)

    def _windows(self, view: View, target_B: Tensor) -> Maps:
        import torch

        height, width = view.x.shape[-2:]
        side = self.window or max(1, round(min(height, width) / 7))
        side = min(side, height, width)
        stride = self.stride or max(1, side // 2)
        tops = [torch.arange(0, end - side + stride, stride) for end in (height, width)]
        inside = [
            (torch.arange(end) >= top[:, None]) & (torch.arange(end) < top[:, None] + side)
            for end, top in zip((height, width), tops, strict=True)
        ]
        window_PF = (inside[0][:, None, :, None] & inside[1][None, :, None, :]).flatten(0, 1).flatten(1)
        window_PF = window_PF.to(view.x.device)
        P, B = len(window_PF), len(view.x)
        rows_R = torch.arange(B, device=view.x.device).repeat_interleave(P)
        which_R = torch.arange(P, device=view.x.device).repeat(B)
        at_once, answers = points_at_once(view), []
        with torch.no_grad():
            whole_B = view.logits(view.x, torch.arange(B, device=view.x.device)).gather(1, target_B[:, None])
            for rows, which in zip(torch.split(rows_R, at_once), torch.split(which_R, at_once), strict=True):
                logits = view.logits(view.without(rows, window_PF[which]), rows)
                answers.append(logits.gather(1, target_B[rows, None])[:, 0].double())
        loss_BP = whole_B.double() - torch.cat(answers).view(B, P)
        cover_PF = window_PF.double()
        return Maps(loss_BP @ (cover_PF / cover_PF.sum(0)), passes=P + 1)


def _parts(view: View, target_B: Tensor) -> Maps:
    import torch

    players = players_of(view, grid=1)
    B, device = len(view.x), view.x.device
    P = max(1, int(players.count_B.amax()))
    present_RP = ~torch.eye(P + 1, P, dtype=torch.bool, device=device).repeat(B, 1)  # last: nobody is taken
    rows_R = torch.arange(B, device=device).repeat_interleave(P + 1)
    # Players that an example does not have cost no question.
    asked_R = (torch.arange(P + 1, device=device) < players.count_B[:, None]).flatten()
    asked_R[P :: P + 1] = True
    answers = torch.zeros(len(rows_R), dtype=torch.float64, device=device)
    answers[asked_R] = players.answers(rows_R[asked_R], present_RP[asked_R], target_B)
    answers = answers.view(B, P + 1)
    there_BP = asked_R.view(B, P + 1)[:, :P]
    loss_BP = (answers[:, P:] - answers[:, :P]) * there_BP
    return Maps(players.spread(loss_BP), passes=float(asked_R.sum()) / B)
