"""What work is counted in: examples asked forward, examples with a gradient, trainings of the same recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raiaudit.attacks.threats import Knowledge
    from raiaudit.models.data.dataset import Modality
    from raiaudit.models.recipe import Recipe

__all__ = ["Situation", "Work"]


@dataclass(frozen=True, slots=True)
class Situation:
    """What the work of a check depends on besides its options.

    `test` is how many examples are audited, `sizes` the rows of each split; `pixels` of an image (H·W), 0 for
    others; `levels` is the number of levels of each group column, `width` the number of a table's columns;
    `knowledge` the most that may be asked of the model.
    """

    modality: Modality
    test: int
    sizes: Mapping[str, int]
    classes: int
    pixels: int
    levels: Mapping[str, int]
    width: int
    recipe: Recipe | None
    knowledge: Knowledge = "white"

    def first(self, examples: int | None) -> int:
        """How many examples are looked at when the first n are asked for."""
        return self.test if examples is None else min(examples, self.test)


@dataclass(frozen=True, slots=True)
class Work:
    """`forwards` and `gradients` are counted in examples, `trainings` in models of the target's recipe;
    `seconds` is what costs no question to a model. `peak` names what is dear about it, for people.
    """

    forwards: float = 0.0
    gradients: float = 0.0
    trainings: float = 0.0
    seconds: float = 0.0
    peak: str = ""

    def __add__(self, other: Work) -> Work:
        return Work(
            self.forwards + other.forwards,
            self.gradients + other.gradients,
            self.trainings + other.trainings,
            self.seconds + other.seconds,
            self.peak or other.peak,
        )

    def __mul__(self, times: float) -> Work:
        return Work(
            self.forwards * times,
            self.gradients * times,
            self.trainings * times,
            self.seconds * times,
            self.peak,
        )
