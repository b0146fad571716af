"""A black box that will not answer about some inputs: the examples these were made from are left out.

A service may refuse what no client of its would send: an image half grey, a text without words. What it
refuses costs the example, with the service's reason, and not the check.

Shapes: R points to ask about, made from examples `rows_R` of a view.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from raiaudit.errors import QueryFailedError, SubjectUnavailableError

if TYPE_CHECKING:
    from torch import Tensor

    from raiaudit.audit.explanations.methods.views import View
    from raiaudit.audit.subject import Subject
    from raiaudit.models.data.dataset import Inputs

__all__ = ["Unanswered"]


@dataclass(slots=True)
class Unanswered:
    """`reasons`: of the rows that have no answer to all that was asked about them, the first problem;
    `unseen`: those with none as they are.
    """

    reasons: dict[int, str] = field(default_factory=dict)
    unseen: set[int] = field(default_factory=set)

    def clean(self, subject: Subject, inputs: Inputs) -> Tensor:
        """The predicted classes; 0 where there is no answer."""
        try:
            return subject.logits(inputs).argmax(1)
        except QueryFailedError as error:
            self.unseen.update(error.rows)
            self._note(error.rows, f"the model did not answer about an example: {_said(error)}")
            return error.answers.nan_to_num(0).argmax(1)  # type: ignore[no-any-return]  # answers are Any

    def watched(self, view: View) -> View:
        """The view with zeros for logits that cannot be had; its rows are noted."""
        return replace(view, logits=lambda points, rows_R: self._asked(view, points, rows_R))

    def _asked(self, view: View, points_R: Tensor, rows_R: Tensor) -> Tensor:
        import torch

        try:
            return self._partly(view, points_R, rows_R)
        except SubjectUnavailableError:
            # A box that answers none of the first is given up. Behind an input that it answers as it is, all
            # are asked; where it does not answer that one either, it is gone indeed.
            known = [row for row in range(len(view.x)) if row not in self.unseen]
            if not known:
                raise
            row_1 = torch.tensor(known[:1], device=rows_R.device)
            asked = self._partly(view, torch.cat([view.x[row_1], points_R]), torch.cat([row_1, rows_R]))
            return asked[1:]

    def _partly(self, view: View, points_R: Tensor, rows_R: Tensor) -> Tensor:
        try:
            return view.logits(points_R, rows_R)
        except QueryFailedError as error:
            rows = [int(rows_R[at]) for at in error.rows]
            self._note(rows, f"the model did not answer about a changed example: {_said(error)}")
            return error.answers.nan_to_num(0)  # type: ignore[no-any-return]  # answers are Any

    def _note(self, rows: list[int] | tuple[int, ...], reason: str) -> None:
        for row in rows:
            self.reasons.setdefault(row, reason)


def _said(error: QueryFailedError) -> str:
    """The problem alone: which row of a batch it was means nothing to people."""
    return error.problem.split(": ", 1)[-1]
