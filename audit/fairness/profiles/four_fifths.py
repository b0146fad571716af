"""The four-fifths rule with the account of chance that its own last sentence asks for (29 CFR 1607.4(D)).

A ratio below 0.8 is evidence only where Fisher's exact p, corrected for the pairs, is below 1 − confidence.
A ratio of 0.8 or more is clear only where its interval lies above 0.8; else too few people were looked at.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from raiaudit.audit.fairness.profiles.false_alarms import alarms_of_many, alarms_of_two
from raiaudit.audit.fairness.profiles.impact import impacts
from raiaudit.audit.fairness.profiles.record import listed, table

if TYPE_CHECKING:
    import numpy as np

    from raiaudit.audit.fairness.profiles.impact import Impact, Impacts
    from raiaudit.audit.fairness.profiles.record import Recorder
    from raiaudit.audit.fairness.profiles.selection import Selected
    from raiaudit.audit.measurement import Measurement

__all__ = [
    "BEYOND_CHANCE",
    "BY_CHANCE",
    "CLEAR",
    "HIGHEST",
    "SMALLER",
    "TOO_SMALL",
    "UNDECIDED",
    "four_fifths",
]

RULE = 0.8
BEYOND_CHANCE = "below four fifths, beyond chance"
BY_CHANCE = "below four fifths, compatible with chance"
SMALLER = "not below four fifths, yet a difference beyond chance"
CLEAR = "clear of four fifths"
UNDECIDED = "not below four fifths, too few people to rule it out"
TOO_SMALL = "too small to judge"
HIGHEST = "highest rate"

SCHEMA = {
    "attribute": pl.String,
    "group": pl.String,
    "n": pl.Int64,
    "share": pl.Float64,
    "selected": pl.Int64,
    "rate": pl.Float64,
    "reference": pl.String,
    "ratio": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p_value": pl.Float64,
    "p_adjusted": pl.Float64,
    "one_person": pl.Boolean,
    "false_alarm": pl.Float64,
    "verdict": pl.String,
    "note": pl.String,
}


class Ruled(NamedTuple):
    """The measurements of one attribute and its table, of `SCHEMA`."""

    measurements: list[Measurement]
    rows: pl.DataFrame


def four_fifths(
    people: Selected,
    record: Recorder,
    *,
    min_share: float,
    min_group: int,
    draws: int,
    rng: np.random.Generator,
) -> Ruled:
    """`record.where` names the profile and the attribute."""
    found = impacts(people, min_share=min_share, min_group=min_group, confidence=record.confidence)
    rows = _table(found, record)
    if found.undefined is not None:
        names = ("impact_ratio", "groups_below_four_fifths", "four_fifths_false_alarm")
        n = people.total
        undefined = [
            record.measure(name, None, n=n, method="ugesp1978", unit=unit, reason=_explained(found))
            for name, unit in zip(names, ("", "groups", ""), strict=True)
        ]
        return Ruled(undefined, rows)
    measured = [
        *_ratios(found, record),
        _count(found, record, people.total),
        _false_alarm(found, record, draws, rng),
    ]
    return Ruled(measured, rows)


def verdict(row: Impact, alpha: float) -> str:
    """What a ratio and its test together say."""
    if row.too_small is not None:
        return TOO_SMALL
    if row.p_adjusted is None or row.ratio is None or row.low is None:
        return HIGHEST
    differs = row.p_adjusted <= alpha
    if row.ratio < RULE:
        return BEYOND_CHANCE if differs else BY_CHANCE
    if differs:
        return SMALLER
    return CLEAR if row.low >= RULE else UNDECIDED


def _ratios(found: Impacts, record: Recorder) -> list[Measurement]:
    """Ratio and p of every group but the highest. Groups too small stand beside: a gate has to name them."""
    measured = []
    for row in found.rows:
        if row.ratio is None or row.p_adjusted is None:
            continue
        said = verdict(row, 1 - record.confidence)
        note = f"{said} ({row.too_small})" if row.too_small else said
        own = replace(record, where={**record.where, "group": row.group, "reference": str(found.reference)})
        beside = "group" if row.too_small else None
        measured += [
            own.measure(
                "impact_ratio",
                row.ratio,
                (row.low, row.high),
                n=row.n,
                method="koopman1984",
                better="higher",
                reason=note,
                beside=beside,
            ),
            own.measure("impact_ratio_p_value", row.p_adjusted, n=row.n, method="fisher1922", beside=beside),
        ]
    return measured


def _count(found: Impacts, record: Recorder, n: int) -> Measurement:
    """How many groups are below beyond chance; at most those whose interval does not rule 0.8 out."""
    judged = [row for row in found.rows if row.too_small is None and row.low is not None]
    below = [row for row in judged if verdict(row, 1 - record.confidence) == BEYOND_CHANCE]
    open_ = [row for row in judged if row in below or (row.low or 0.0) < RULE]
    text = listed([f"{row.group}: {verdict(row, 1 - record.confidence)}" for row in judged])
    return record.measure(
        "groups_below_four_fifths",
        float(len(below)),
        (float(len(below)), float(len(open_))),
        n=n,
        method="ugesp1978",
        better="lower",
        unit="groups",
        reason=text,
    )


def _false_alarm(found: Impacts, record: Recorder, draws: int, rng: np.random.Generator) -> Measurement:
    """How often the bare rule would raise an alarm here, were all groups treated alike."""
    judged = [row for row in found.rows if row.too_small is None]
    sizes = [row.n for row in judged]
    rate = sum(row.selected for row in judged) / sum(sizes)
    limits: tuple[float | None, float | None] = (None, None)
    if len(sizes) == 2:
        chance = alarms_of_two(sizes[0], sizes[1], rate)
    else:
        chance, limits = alarms_of_many(sizes, rate, rng=rng, draws=draws, confidence=record.confidence)
    return record.measure(
        "four_fifths_false_alarm",
        chance,
        limits,
        n=sum(sizes),
        method="ugesp1978",
        reason=f"{len(sizes)} groups of {', '.join(map(str, sizes[:8]))} people, one rate of {rate:.1%}",
    )


def _explained(found: Impacts) -> str:
    small = listed([f"{row.group}: {row.too_small}" for row in found.rows if row.too_small])
    return f"{found.undefined} ({small})" if small else str(found.undefined)


def _table(found: Impacts, record: Recorder) -> pl.DataFrame:
    rows = []
    for row in found.rows:
        said = TOO_SMALL if row.too_small else verdict(row, 1 - record.confidence)
        rows.append(
            {
                "attribute": record.where["attribute"],
                **{name: value for name, value in row._asdict().items() if name in SCHEMA},
                "reference": found.reference,
                "verdict": "undefined" if found.undefined and not row.too_small else said,
                "note": row.too_small or (found.undefined if found.undefined else None),
            }
        )
    return table(SCHEMA, rows)
