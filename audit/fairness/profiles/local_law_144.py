"""The tables of a New York City bias audit: rates and impact ratios by sex, by race/ethnicity, and by both.

6 RCNY 5-301: of tools that select, the selection rate of each category; of tools that score, the rate of
scores above the median of the full sample; each over that of the category with the highest. People of an
unknown category are counted and left out. A category under 2 % may be left out of the ratios with a reason,
and then still has its number and rate. The rule has no threshold, and no verdict is made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from raiaudit.audit.fairness.counting.tally import JOINED
from raiaudit.audit.fairness.profiles.impact import impacts
from raiaudit.audit.fairness.profiles.record import Recorder, table
from raiaudit.audit.fairness.profiles.selection import scored_above_median, selected

if TYPE_CHECKING:
    from raiaudit.audit.fairness.counting.tally import Tally
    from raiaudit.audit.fairness.profiles.config import LocalLaw144
    from raiaudit.audit.fairness.profiles.selection import Selected
    from raiaudit.audit.measurement import Measurement

__all__ = ["PROFILE", "local_law_144"]

PROFILE = "nyc_ll144"
RATES = {"selection": "impact_ratio", "scoring": "scoring_impact_ratio"}
SCHEMA = {
    "table": pl.String,
    "rate_of": pl.String,
    "category": pl.String,
    "n": pl.Int64,
    "share": pl.Float64,
    "selected": pl.Int64,
    "rate": pl.Float64,
    "impact_ratio": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "note": pl.String,
    "justification": pl.String,
}
_WHY = "too few people to tell a rate from chance"


def local_law_144(
    tally: Tally, options: LocalLaw144, favourable: int, *, confidence: float
) -> tuple[list[Measurement], pl.DataFrame]:
    """Ratios of what is not left out, and the whole tables below each other (`SCHEMA`), of scores last."""
    measured: list[Measurement] = []
    rows: list[dict[str, Any]] = []
    tables = ((options.sex,), (options.race_ethnicity,), (options.sex, options.race_ethnicity))
    for kind, metric in RATES.items():
        for columns in tables:
            count = selected if kind == "selection" else scored_above_median
            people = count(tally, columns, favourable)
            if people is None:
                continue
            found, filled = _category_table(people, columns, kind, metric, options, confidence)
            measured += found
            rows += filled
    return measured, table(SCHEMA, rows)


def _category_table(
    people: Selected,
    columns: Sequence[str],
    kind: str,
    metric: str,
    options: LocalLaw144,
    confidence: float,
) -> tuple[list[Measurement], list[dict[str, Any]]]:
    name = JOINED.join(columns)
    record = Recorder({"profile": PROFILE, "attribute": name}, confidence)
    found = impacts(people, min_share=options.exclude_below, min_group=1, confidence=confidence)
    measured, rows = [], []
    for row in found.rows:
        excluded = f"no ratio: {row.too_small}" if row.too_small else None
        highest = row.group == found.reference
        ratio = None if excluded else row.ratio
        limits = (None, None) if excluded or highest else (row.low, row.high)
        reason = excluded or (found.undefined if ratio is None else "highest rate" if highest else None)
        if not (excluded or highest):
            measured.append(
                record.measure(
                    metric,
                    ratio,
                    limits,
                    n=row.n,
                    method="rcny2023",
                    better="higher",
                    reason=reason,
                    group=row.group,
                )
            )
        counts = {"n": row.n, "share": row.share, "selected": row.selected, "rate": row.rate}
        low, high = limits
        rows.append(
            {
                "table": name,
                "rate_of": kind,
                "category": row.group,
                **counts,
                "impact_ratio": ratio,
                "low": low,
                "high": high,
                "note": reason,
                "justification": (options.justification or _WHY) if excluded else None,
            }
        )
    missing = {"n": people.unknown, "share": people.unknown / max(1, people.total)}
    note = "not recorded: in no rate or ratio"
    rows.append({"table": name, "rate_of": kind, "category": "unknown", **missing, "note": note})
    if kind == "selection":
        number = float(people.unknown)
        measured.append(
            record.measure("unknown_people", number, n=people.total, method="rcny2023", unit="people")
        )
    return measured, rows
