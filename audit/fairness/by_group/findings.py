"""Group fairness of a tally: every metric of every attribute, as measurements and as tables.

With hundreds of groups a person needs the reference, the groups furthest from it and the extremes, not
thousands of lines: of each metric the groups with the widest gaps are measured (`most_groups` of them), all
are in the tables, and the widest gaps say how many were left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from raiaudit.audit.fairness.by_group.attribute import measure_attribute, measure_scores, reporter
from raiaudit.audit.fairness.counting.rows import CHECK_ID, OUTCOME, group_column
from raiaudit.audit.fairness.findings import Findings

if TYPE_CHECKING:
    from raiaudit.audit.fairness.by_group.groups import GroupsConfig
    from raiaudit.audit.fairness.by_group.reporting import Reporter
    from raiaudit.audit.fairness.counting.tally import Tally
    from raiaudit.audit.measurement import Measurement

__all__ = ["groups_findings", "most_telling", "report_of", "tables"]

_TABLE = {
    "attribute": pl.String,
    "group": pl.String,
    "reference": pl.String,
    "metric": pl.String,
    "slice": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n": pl.Int64,
    "note": pl.String,
}


def groups_findings(tally: Tally, config: GroupsConfig, *, seed: int) -> Findings:
    """Every attribute of the tally that `config.columns` names, or all.

    Evidence: `by_group`, `gaps` (measurements of all groups as tables) and `counts`: attribute, group, label,
    predicted, n.
    """
    measured: list[Measurement] = []
    for attribute in config.columns or tally.attributes:
        report = report_of(tally, attribute, config, seed)
        measured += measure_attribute(tally, report, config.min_group)
        if tally.positive is not None:
            measured += measure_scores(tally, report, config.min_group)
    evidence = tables(measured) | {"counts": counts(tally, config.columns or tally.attributes)}
    return Findings(most_telling(measured, config.most_groups), evidence)


def report_of(tally: Tally, attribute: str, config: GroupsConfig, seed: int) -> Reporter:
    """The reporter of one attribute."""
    return reporter(
        tally,
        attribute,
        check=CHECK_ID,
        confidence=config.confidence,
        seed=seed,
        permutations=config.permutations,
        evidence=(group_column(attribute), *OUTCOME),
        tolerance=config.tolerance,
    )


def counts(tally: Tally, attributes: Sequence[str]) -> pl.DataFrame:
    """One row a cell that is not empty."""
    held = tally.cells if tally.labelled else tally.selections
    return pl.concat([held(attribute).table(attribute) for attribute in attributes])


def most_telling(measured: Sequence[Measurement], most: int) -> list[Measurement]:
    """Of every attribute with more than `most` groups: its reference and the groups with the widest gaps.

    How wide a gap is known to be comes first (its bound nearer to 0), then its value.
    """
    found: list[Measurement] = []
    for attribute in dict.fromkeys(m.where.get("attribute") for m in measured):
        mine = [m for m in measured if m.where.get("attribute") == attribute]
        groups = dict.fromkeys(m.where["group"] for m in mine if "group" in m.where)
        if len(groups) <= most:
            found += mine
            continue
        reach: dict[object, tuple[float, float]] = dict.fromkeys(groups, (0.0, 0.0))
        for m in mine:
            if m.metric.endswith("_gap") and m.value is not None and m.low is not None and m.high is not None:
                sure = max(0.0, m.low, -m.high)
                reach[m.where["group"]] = max(reach[m.where["group"]], (sure, abs(m.value)))
                reach[m.where["reference"]] = (1.0, 1.0)
        kept = set(sorted(groups, key=lambda group: reach[group], reverse=True)[:most])
        found += [_telling(m, len(groups), most) for m in mine if m.where.get("group") in {None, *kept}]
    return found


def _telling(m: Measurement, groups: int, most: int) -> Measurement:
    """Summaries over all groups say that not every group has measurements of its own."""
    if "group" in m.where or not m.metric.endswith("_difference"):
        return m
    text = f"{groups} groups, the {most} with the widest gaps listed, all in the table by_group"
    return m.model_copy(update={"reason": f"{m.reason}; {text}" if m.reason else text})


def tables(measured: Sequence[Measurement]) -> dict[str, pl.DataFrame]:
    """`by_group`: a row a metric and group; `gaps`: a row a gap to the reference, with its p-value.

    `slice` is the rest of `where` ("linf 0.15 pgd"), `note` the reason, if any.
    """
    own = ("attribute", "group", "reference")
    rows = [
        {
            **{key: m.where.get(key) for key in own},
            "metric": m.metric,
            "slice": " ".join(str(value) for key, value in m.where.items() if key not in own),
            "value": m.value,
            "low": m.low,
            "high": m.high,
            "n": m.n,
            "note": m.reason,
        }
        for m in measured
        if "group" in m.where
    ]
    table = pl.DataFrame(rows, schema=_TABLE)
    compared = table.filter(pl.col("reference").is_not_null())
    tested = pl.col("metric").str.ends_with("_gap_p_value")
    p_values = compared.filter(tested).select(
        "attribute", "group", "slice", pl.col("metric").str.strip_suffix("_p_value"), p_value="value"
    )
    gaps = compared.filter(~tested).join(
        p_values, on=["attribute", "group", "metric", "slice"], how="left", maintain_order="left"
    )
    return {"by_group": table.filter(pl.col("reference").is_null()).drop("reference"), "gaps": gaps}
