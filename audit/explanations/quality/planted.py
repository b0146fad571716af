"""Where the evidence is known to be: a stamped region, a planted word, a column a label was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from raiaudit.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from raiaudit.audit.explanations.methods.views import View
    from raiaudit.audit.subject import Subject

__all__ = ["PlantedEvidence", "truth_of", "words_of"]

_FOR = {"region": "image", "word": "text", "column": "tabular"}


class PlantedEvidence(BaseModel):
    """Exactly one of the three."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    region: tuple[int, int, int, int] | None = Field(
        default=None, description="images: top, left, height, width in pixels, of every example"
    )
    word: str | None = Field(default=None, min_length=1, description="texts: the word, where it occurs")
    column: str | None = Field(default=None, description="tables: the column")

    @model_validator(mode="after")
    def _one(self) -> PlantedEvidence:
        if len(self.model_fields_set - {k for k in _FOR if getattr(self, k) is None}) != 1:
            raise ValueError("planted evidence is one of region, word, column")
        if self.region is not None and (min(self.region) < 0 or min(self.region[2:]) < 1):
            raise ValueError("region is top, left, height, width: none negative, and at least one pixel")
        return self

    def require(self, subject: Subject) -> None:
        """Raises `CapabilityError` where inputs of this subject cannot hold it."""
        kind = next(name for name in _FOR if getattr(self, name) is not None)
        if subject.dataset.modality != _FOR[kind]:
            raise CapabilityError(
                f"planted.{kind} is for {_FOR[kind]} data, and these are {subject.dataset.modality}",
                remedy=f"say where the evidence is by one of {', '.join(_FOR)}",
            )
        space = subject.dataset.space
        if self.region is not None:
            top, left, height, width = self.region
            _, rows, columns = getattr(space, "shape", (0, 0, 0))
            if top + height > rows or left + width > columns:
                raise CapabilityError(f"planted.region {self.region} is beyond the {rows}×{columns} image")
        names = [column.name for column in getattr(space, "columns", ())]
        if self.column is not None and self.column not in names:
            raise CapabilityError(f"no column {self.column!r}; there are {', '.join(names)}")


def truth_of(planted: PlantedEvidence | None, view: View, subject: Subject) -> NDArray[np.bool_] | None:
    """True where the evidence of each example lies, B×F; None where nothing was planted."""
    if planted is None:
        return None
    truth_BF = np.zeros(tuple(view.present_BF.shape), dtype=bool)
    if planted.region is not None:
        top, left, height, width = planted.region
        _, rows, columns = getattr(subject.dataset.space, "shape", (0, 0, 0))
        truth_BF.reshape(-1, rows, columns)[:, top : top + height, left : left + width] = True
    elif planted.word is not None:
        for row, pieces in enumerate(view.names or []):
            for word, where in words_of(pieces):
                truth_BF[row, where] = word.lower() == planted.word.lower()
    else:
        names = [column.name for column in getattr(subject.dataset.space, "columns", ())]
        truth_BF[:, names.index(str(planted.column))] = True
    return truth_BF


def words_of(pieces: Sequence[str]) -> list[tuple[str, slice]]:
    """Whole words and where their pieces are: `un`, `##believ`, `##able` is one."""
    found: list[tuple[str, slice]] = []
    for at, piece in enumerate(pieces):
        if piece.startswith("##") and found:
            word, where = found[-1]
            found[-1] = (word + piece[2:], slice(where.start, at + 1))
        else:
            found.append((piece, slice(at, at + 1)))
    return found
