"""Every class held against every concept at every layer, from the ledger alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raiaudit.audit.explanations.concepts.tcav import Pool, Score, score
from raiaudit.audit.explanations.concepts.vectors import Directions, Draws, Kind, drawn
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.statistics.intervals import Interval, wilson
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.audit.statistics.multiplicity import benjamini_hochberg

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.explanations.concepts.vectors import Floats
    from raiaudit.audit.ledger import LedgerReader

__all__ = ["Finding", "findings", "measurements", "table"]

"""Adjusted p-values up to here are called significant."""


@dataclass(frozen=True, slots=True)
class Vector:
    """A concept at a layer: how well its vector tells held-out examples, or why there is none.

    `members` and `others` count examples of the concept and random ones that are not.
    """

    concept: str
    layer: str
    members: int
    others: int
    accuracy: float | None = None
    interval: Interval | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A class, a concept and a layer; `adjusted` is the p-value for all of them together."""

    label: str
    vector: Vector
    score: Score
    examples: int
    adjusted: float | None = None


def findings(
    ledger: LedgerReader,
    *,
    classes: Mapping[str, int],
    concepts: Sequence[str],
    layers: Sequence[str],
    vectors: Kind,
    fewest: int,
    runs: int,
    seed: int,
) -> list[Finding]:
    """By layer, concept and class, in the order given."""
    found = [
        finding
        for layer in layers
        for finding in _at_layer(
            ledger,
            layer,
            classes=classes,
            concepts=concepts,
            vectors=vectors,
            fewest=fewest,
            runs=runs,
            seed=seed,
        )
    ]
    adjusted = benjamini_hochberg([finding.score.p_value for finding in found])
    return [replace(finding, adjusted=p) for finding, p in zip(found, adjusted, strict=True)]


def _at_layer(
    ledger: LedgerReader,
    layer: str,
    *,
    classes: Mapping[str, int],
    concepts: Sequence[str],
    vectors: Kind,
    fewest: int,
    runs: int,
    seed: int,
) -> Iterator[Finding]:
    activation, gradient = f"concepts.activation.{layer}", f"concepts.gradient.{layer}"
    names = ("concepts.drawn", "concepts.held", "concepts.random")
    pool = ledger.scan(activation, *names).drop_nulls(activation).collect()
    asked = ledger.scan(gradient, "concepts.label").drop_nulls(gradient).collect()
    activation_ND, gradient_BD = _matrix(pool[activation]), _matrix(asked[gradient])
    label_B, random_N = asked["concepts.label"].to_numpy(), pool["concepts.random"].to_numpy()
    directions = Directions(activation_ND[random_N], vectors)
    for name in concepts:
        drawn_N, held_N = (pool[column].list.contains(name).to_numpy() for column in names[:2])
        sample = Pool(activation_ND, drawn_N, random_N & ~held_N, random_N)
        concept_ND, others_MD = sample.sides
        vector = Vector(name, layer, len(concept_ND), len(others_MD))
        draws: Draws | None = None
        if (reason := _lacking(vector, directions, fewest)) is not None:
            vector = replace(vector, reason=reason)
        else:
            draws = drawn(directions, *sample.sides, runs=runs, rng=keyed_rng(seed, "cav", layer, name))
            vector = _judged(vector, draws.accuracy)
        for label, index in classes.items():
            chosen_BD = gradient_BD[label_B == index]
            if draws is None or vector.reason is not None:
                found = Score(None, reason=vector.reason)
            elif len(chosen_BD) < fewest:
                found = Score(
                    None, reason=f"{len(chosen_BD)} audited examples of the class; {fewest} are needed"
                )
            else:
                rng = keyed_rng(seed, "tcav", layer, name, label)
                found = score(directions, sample, chosen_BD, draws, rng=rng)
            yield Finding(label, vector, found, len(chosen_BD))


def _matrix(lists: pl.Series) -> Floats:
    width = len(lists[0]) if len(lists) else 0
    values: NDArray[np.float64] = lists.explode().to_numpy().astype(np.float64).reshape(-1, width)
    return values


def _lacking(vector: Vector, directions: Directions, fewest: int) -> str | None:
    if vector.members < fewest:
        return f"{vector.members} training examples of the concept; {fewest} are needed"
    if vector.others < fewest:
        return f"{vector.others} random examples that are not of the concept; {fewest} are needed"
    return "the layer gives every example the same activations" if directions.constant else None


def _judged(vector: Vector, accuracy: float) -> Vector:
    """Wilson's interval over both sides, of which each counts as many examples as the smaller one has."""
    held_out = 2 * min(vector.members, vector.others)
    interval = wilson(accuracy * held_out, held_out)
    reason = None
    if interval.low <= 0.5:
        reason = f"held-out examples of the concept are told apart no better than chance ({accuracy:.1%})"
    return replace(vector, accuracy=accuracy, interval=interval, reason=reason)


def measurements(check: str, found: Sequence[Finding]) -> list[Measurement]:
    """Scores and adjusted p-values by class, concept and layer, and the accuracy of each vector."""
    measured = []
    for vector in dict.fromkeys(finding.vector for finding in found):
        measured.append(
            Measurement(
                check=check,
                metric="cav_accuracy",
                value=vector.accuracy,
                low=vector.interval.low if vector.interval else None,
                high=vector.interval.high if vector.interval else None,
                n=vector.members,
                better="neither",
                where={"concept": vector.concept, "layer": vector.layer},
                method="kim2018",
                reason=vector.reason,
                evidence=(f"concepts.activation.{vector.layer}",),
            )
        )
    for metric, method in (("tcav_score", "kim2018"), ("tcav_p_value", "benjamini1995")):
        for finding in found:
            vector, result = finding.vector, finding.score
            value, low, high = result.value, result.low, result.high
            if metric == "tcav_p_value":
                value, low, high = finding.adjusted, None, None
            measured.append(
                Measurement(
                    check=check,
                    metric=metric,
                    value=value,
                    low=low,
                    high=high,
                    n=finding.examples,
                    better="neither",
                    where={"class": finding.label, "concept": vector.concept, "layer": vector.layer},
                    method=method,
                    reason=result.reason,
                    evidence=(f"concepts.gradient.{vector.layer}", f"concepts.activation.{vector.layer}"),
                )
            )
    return measured


def table(found: Sequence[Finding]) -> pl.DataFrame:
    """One row a finding, for charts."""
    return pl.DataFrame(
        [
            {
                "class": finding.label,
                "concept": finding.vector.concept,
                "layer": finding.vector.layer,
                "value": finding.score.value,
                "low": finding.score.low,
                "high": finding.score.high,
                "p_value": finding.adjusted,
                "accuracy": finding.vector.accuracy,
                "members": finding.vector.members,
                "n": finding.examples,
                "reason": finding.score.reason,
            }
            for finding in found
        ],
        schema={
            **dict.fromkeys(("class", "concept", "layer"), pl.String),
            **dict.fromkeys(("value", "low", "high", "p_value", "accuracy"), pl.Float64),
            **dict.fromkeys(("members", "n"), pl.Int64),
            "reason": pl.String,
        },
    )
