"""What is asked of a file of predictions: which columns mean what, and what to find out. Plain data.

Everything that decides the numbers is here, so that the run id can be computed from it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from raiaudit.audit.fairness.counting.tally import TAKEN
from raiaudit.audit.gates import Gate
from raiaudit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["PredictionOptions", "parse_bands", "parse_range", "read_options"]

_TAKEN = TAKEN | {"person", "group", "attribute"}


class PredictionOptions(BaseModel):
    """Column names are those of the file. `score_range` is what 0 and 1 are in it.

    `positive` names the class that rates count, in the words of the labels and, where the predictions are
    written differently, of the predictions too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(min_length=1, max_length=100)
    groups: tuple[str, ...] = Field(min_length=1)
    label: str | None = None
    pred: str | None = None
    score: str | None = None
    threshold: float | None = None
    score_range: tuple[float, float] = (0.0, 1.0)
    positive: tuple[str, ...] = ()
    weight: str | None = None
    person: str | None = None
    id: str | None = None
    bands: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    drop_missing: bool = False
    min_group: int = Field(default=30, ge=1)
    confidence: float = Field(default=0.95, gt=0, lt=1)
    permutations: int = Field(default=9999, ge=99)
    seed: int = Field(default=0, ge=0, lt=2**31)
    subgroups: bool = True
    profiles: tuple[str, ...] = ()
    ll144: tuple[str, str] = ("sex", "race")
    favourable: str | None = None
    gates: tuple[Gate, ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> PredictionOptions:
        if self.pred is None and self.score is None:
            raise ValueError("name the column of predictions (--pred), or of scores (--score), or both")
        if self.label is not None and self.label in (self.pred, self.score):
            raise ValueError(f"--label and the predictions are both {self.label!r}: that would be perfect")
        if self.pred is not None and self.threshold is not None:
            raise ValueError("--threshold makes predictions from scores: leave out --pred, or it")
        if self.pred is None and self.threshold is None and self.score_range != (0.0, 1.0):
            raise ValueError("scores in a range of their own need --threshold as well")
        low, high = self.score_range
        if not low < high or not math.isfinite(high - low):
            raise ValueError(f"--score-range {low:g},{high:g}: the second number must be the larger one")
        if twice := sorted({name for name in self.groups if self.groups.count(name) > 1}):
            raise ValueError(f"the group column {twice[0]!r} is named twice")
        if taken := [name for name in self.groups if name in _TAKEN]:
            raise ValueError(
                f"a group column cannot be called {taken[0]!r}, which the tables of a report use themselves: "
                "rename it in the file"
            )
        if strangers := sorted(set(self.bands) - set(self.groups)):
            raise ValueError(f"--bands is for a column of --groups, and {strangers[0]!r} is none")
        return self

    @property
    def cut(self) -> float:
        """The threshold in use: predictions are scores at or above it."""
        return 0.5 if self.threshold is None else self.threshold

    @property
    def columns(self) -> dict[str, str]:
        """Option → column of the file, for the single columns that were named."""
        named = {
            "--label": self.label,
            "--pred": self.pred,
            "--score": self.score,
            "--weight": self.weight,
            "--person": self.person,
            "--id": self.id,
        }
        return {option: column for option, column in named.items() if column is not None}


def read_options(**given: Any) -> PredictionOptions:
    """The options as a person gave them. Raises `UsageError` in words."""
    try:
        return PredictionOptions(**given)
    except ValidationError as error:
        first = error.errors()[0]
        where = f"--{str(first['loc'][0]).replace('_', '-')}" if first["loc"] else None
        raise UsageError(first["msg"].removeprefix("Value error, "), where=where) from None


def parse_range(text: str) -> tuple[float, float]:
    """`1,10` → (1.0, 10.0). Raises `UsageError`."""
    numbers = _numbers(text)
    if len(numbers) != 2:
        raise UsageError(f"{text!r} is not two numbers", where="--score-range", remedy="for example 1,10")
    return numbers[0], numbers[1]


def parse_bands(texts: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """`age:18,30,45` → {"age": (18, 30, 45)}. Raises `UsageError`."""
    found: dict[str, tuple[float, ...]] = {}
    for text in texts:
        column, _, edges = text.rpartition(":")
        numbers = _numbers(edges)
        if not column or not numbers or list(numbers) != sorted(set(numbers)):
            raise UsageError(
                f"{text!r} is not a column and its rising edges", where="--bands", remedy="age:18,30,45,65"
            )
        found[column] = numbers
    return found


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        return ()
