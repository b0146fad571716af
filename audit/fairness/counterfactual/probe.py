"""What the model is asked besides the audited examples, and where each answer belongs.

Answers are compared within a unit: one example, one sentence frame, one linked subject. A unit has answers
for several levels of an attribute, and stands in a cluster (its template, say) whose units are kin. Where one
of the answers is to the example as it is, that one is `factual` and is held against the others; where none is
(None), every answer of one level is held against every answer of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from raiaudit.audit.check import Capability
from raiaudit.errors import QueryFailedError
from raiaudit.models.data.dataset import take

if TYPE_CHECKING:
    from raiaudit.audit.subject import Subject

__all__ = ["ANSWER", "PLACE", "Place", "Probe", "answers"]

ANSWER = ("counterfactual.class", "counterfactual.score")
_SCHEMA: dict[str, Any] = {
    "source": pl.String,
    "attribute": pl.String,
    "unit": pl.String,
    "cluster": pl.String,
    "level": pl.String,
    "factual": pl.Boolean,
}
PLACE = tuple(f"counterfactual.{name}" for name in _SCHEMA)


class Place(NamedTuple):
    """Where an answer belongs: an attribute's `level` in a `unit` of a `cluster`."""

    source: str
    attribute: str
    unit: str
    cluster: str
    level: str
    factual: bool | None


@dataclass(frozen=True, slots=True)
class Probe:
    """N inputs to ask about: `ids`, raw `inputs` as a split holds them, and each input's places."""

    ids: Sequence[str]
    inputs: Any
    places: Sequence[Sequence[Place]]

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, start: int, stop: int) -> Probe:
        """Inputs `start` to `stop`."""
        rows = slice(start, stop)
        return Probe(self.ids[rows], take(self.inputs, rows), self.places[rows])

    def with_places(self, places: Sequence[Sequence[Place]]) -> Probe:
        """Further places of the first inputs."""
        added = [[*held, *more] for held, more in zip(self.places, places, strict=False)]
        return Probe(self.ids, self.inputs, [*added, *self.places[len(places) :]])

    def used(self) -> Probe:
        """Without the inputs that belong nowhere."""
        kept = [row for row, held in enumerate(self.places) if held]
        if len(kept) == len(self):
            return self
        inputs = take(self.inputs, np.asarray(kept, dtype=np.int64))
        return Probe([self.ids[row] for row in kept], inputs, [self.places[row] for row in kept])


def answers(subject: Subject, probe: Probe, positive: int | None) -> pl.DataFrame:
    """One row an input: the class predicted, the score of `positive`, and the places as lists.

    The class is null where a black box gave no answer or the model answered NaN or infinity; the score is
    null also where it gives labels alone, or no class is positive.
    """
    classes: list[int | None] = []
    scores: list[float | None] = []
    if len(probe):
        classes, scores = _ask(subject, probe.inputs, positive)
    places = {
        name: pl.Series(
            [[getattr(place, name) for place in held] for held in probe.places], dtype=pl.List(kind)
        )
        for name, kind in _SCHEMA.items()
    }
    return pl.DataFrame(
        {
            "example_id": pl.Series(probe.ids, dtype=pl.String),
            ANSWER[0]: pl.Series(classes, dtype=pl.Int64),
            ANSWER[1]: pl.Series(scores, dtype=pl.Float64),
            **{f"counterfactual.{name}": column for name, column in places.items()},
        }
    )


def _ask(subject: Subject, inputs: Any, positive: int | None) -> tuple[list[int | None], list[float | None]]:
    from scipy.special import softmax

    try:
        logits = subject.logits(inputs)
    except QueryFailedError as error:
        logits = error.answers
    logits_NK = logits.numpy().astype(np.float64)
    known_N = np.asarray(np.isfinite(logits_NK).all(axis=1))
    winners_N = logits_NK.argmax(axis=1)
    classes = [int(winner) if known else None for winner, known in zip(winners_N, known_N, strict=True)]
    if positive is None or Capability.PROBABILITIES not in subject.capabilities:
        return classes, [None] * len(classes)
    chances_N = softmax(np.where(known_N[:, None], logits_NK, 0.0), axis=1)[:, positive]
    return classes, [float(p) if known else None for p, known in zip(chances_N, known_N, strict=True)]
