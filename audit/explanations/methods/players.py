"""Who plays in a game of presence and absence: columns, words, or the squares of a grid over an image.

A player is present with the input's own values or absent at the baseline. Words made of several tokens come
and go as one. A score of a player is spread evenly over its features, so that a map keeps its sum.

Shapes: B examples, F features, P the most players any example has, R points to ask about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from raiaudit.audit.explanations.methods.views import View

__all__ = ["Players", "players_of", "points_at_once"]

_ELEMENTS_AT_ONCE = 1 << 18
_MOST_POINTS = 4096


@dataclass(frozen=True, slots=True)
class Players:
    """`member_BF`: the player a feature belongs to, −1 for none; `count_B` players of an example."""

    view: View
    member_BF: Tensor
    count_B: Tensor

    def answers(self, rows_R: Tensor, present_RP: Tensor, target_B: Tensor) -> Tensor:
        """The target's logit with only some players present, float64."""
        import torch

        answers, at_once = [], points_at_once(self.view)
        for rows, present in zip(torch.split(rows_R, at_once), torch.split(present_RP, at_once), strict=True):
            member = self.member_BF[rows]
            absent_RF = ~present.gather(1, member.clamp(min=0)) & (member >= 0)
            with torch.no_grad():
                logits = self.view.logits(self.view.without(rows, absent_RF), rows)
            answers.append(logits.gather(1, target_B[rows, None])[:, 0].double())
        return torch.cat(answers)

    def spread(self, score_BP: Tensor) -> Tensor:
        """Scores of players over their features, B×F."""
        belongs = self.member_BF >= 0
        member = self.member_BF.clamp(min=0)
        size_BP = score_BP.new_zeros(score_BP.shape).scatter_add_(1, member, belongs.to(score_BP.dtype))
        return (score_BP / size_BP.clamp(min=1)).gather(1, member) * belongs


def points_at_once(view: View) -> int:
    """How many inputs go through the model together: fewer, the larger they are."""
    return max(16, min(_MOST_POINTS, _ELEMENTS_AT_ONCE // max(1, view.x[:1].numel())))


def players_of(view: View, *, grid: int, most: int | None = None) -> Players:
    """Squares of a `grid` × `grid` for images, words for texts, else the features.

    Texts of more than `most` words play in `most` runs of words; other inputs are left as they are.
    """
    import torch

    B, F = view.present_BF.shape
    member_BF = torch.arange(F, device=view.x.device).repeat(B, 1)
    if view.x.dim() == 4:
        height, width = view.x.shape[-2:]
        rows, columns = min(grid, height), min(grid, width)
        down = torch.arange(height, device=view.x.device) * rows // height
        across = torch.arange(width, device=view.x.device) * columns // width
        member_BF = (down[:, None] * columns + across).flatten().repeat(B, 1)
    elif view.is_text and view.x.dim() == 3:
        assert view.names is not None
        for row, pieces in enumerate(view.names):
            member_BF[row, : len(pieces)] = torch.tensor(_words(pieces, view.present_BF[row].tolist()))
    member_BF = member_BF.where(view.present_BF, -1)
    count_B = member_BF.amax(1) + 1
    if view.is_text and most is not None:
        longer = (count_B > most)[:, None] & (member_BF >= 0)
        member_BF = torch.where(longer, member_BF * most // count_B.clamp(min=1)[:, None], member_BF)
        count_B = count_B.clamp(max=most)
    return Players(view, member_BF, count_B)


def _words(pieces: Sequence[str], present: Sequence[bool]) -> list[int]:
    """The word of each token that is present: a piece `##…` continues the word before it."""
    member, word = [], -1
    for piece, there in zip(pieces, present, strict=False):  # padding is present nowhere, and has no piece
        word += there and not (piece.startswith("##") and word >= 0)
        member.append(word)
    return member
