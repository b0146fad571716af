"""Other checks' rows by group: who is robust, whose membership leaks. Group-bys of the ledger, no work."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from raiaudit.audit.fairness.by_group.predictions import shared_by_group
from raiaudit.audit.fairness.by_group.values import GroupValue, area, proportion
from raiaudit.audit.fairness.counting.cells import UNKNOWN, Axis

if TYPE_CHECKING:
    from raiaudit.audit.fairness.by_group.reporting import Reporter
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.measurement import Measurement

__all__ = ["area_by_group", "membership_by_group", "robustness_by_group"]

_BROKEN = re.compile(r"evasion\.(\w+)-([\d.]+(?:e[+-]?\d+)?)-(.+)\.broken")


def robustness_by_group(
    report: Reporter, ledger: LedgerReader, group: str, minimum: int
) -> list[Measurement]:
    """Robust accuracy by group under every threat in the ledger; `group` is the group column.

    A group about whose members a black box did not always answer is left out of comparisons.
    """
    found: list[Measurement] = []
    for column in sorted(ledger.columns()):
        if (threat := _BROKEN.fullmatch(column)) is None:
            continue
        passes = f"{column.removesuffix('.broken')}.forwards"
        attacked = passes if passes in ledger.columns() else column
        rows = ledger.scan(group, *{column, attacked}).drop_nulls(attacked).collect()
        counts = (
            rows.group_by(pl.col(group).fill_null(UNKNOWN))
            .agg(robust=(~pl.col(column)).sum(), n=pl.col(column).count(), lost=pl.col(column).null_count())
            .sort(group)
        )
        values = []
        for level, robust, n, lost in counts.rows():
            value = proportion(level, robust, n, minimum=minimum, condition="attacked examples")
            missing = f"no answer about {lost} of its {n + lost} examples" if lost else value.left_out
            values.append(replace(value, left_out=missing))
        norm, eps, attack = threat.groups()
        sliced = replace(
            report, evidence=(group, column), where={"norm": norm, "eps": float(eps), "attack": attack}
        )
        found += shared_by_group(sliced, "robust_accuracy", values)
    return found


def membership_by_group(
    report: Reporter, ledger: LedgerReader, attribute: str, minimum: int
) -> list[Measurement]:
    """AUC of the headline attack, and of the loss, within each group: whose presence in training shows."""
    from raiaudit.audit.privacy.inference.membership_summary import headline, membership_scores

    held, group = ledger.columns(), f"membership.group.{attribute}"
    if group not in held:
        return []
    attacks = dict.fromkeys([headline(ledger), "loss"])
    groups = ledger.scan(group).collect()
    found: list[Measurement] = []
    for attack in attacks:
        rows = membership_scores(ledger, attack).join(groups, on="example_id")
        sliced = replace(report, evidence=("membership.member", group), where={"attack": attack})
        values = _areas(rows, group, "member", "score", minimum, ("members", "non-members"))
        found += sliced.groups("membership_auc", values, "lower", "delong1988")
        found += sliced.gaps("membership_auc", values, "zou2008")
        found.append(sliced.widest("membership_auc_difference", [values], "zou2008"))
    return found


def area_by_group(
    report: Reporter, rows: pl.DataFrame, group: str, positive: int, minimum: int
) -> list[Measurement]:
    """AUC of the positive class's score within each group, from `fairness.label` and `fairness.score`."""
    marked = rows.with_columns(positive=pl.col("fairness.label") == positive)
    sides = ("examples labelled positive", "examples labelled negative")
    values = _areas(marked, group, "positive", "fairness.score", minimum, sides)
    return [
        *report.groups("auc", values, "higher", "delong1988"),
        *report.gaps("auc", values, "zou2008"),
        report.widest("auc_difference", [values], "zou2008"),
    ]


def _areas(
    rows: pl.DataFrame, group: str, positive: str, score: str, minimum: int, sides: tuple[str, str]
) -> list[GroupValue]:
    levels = rows[group].fill_null(UNKNOWN)
    values = []
    for level in Axis.of(group, levels).levels:
        here = rows.filter(levels == level)
        pos, neg = (here.filter(pl.col(positive) == side)[score].to_numpy() for side in (True, False))
        values.append(area(level, pos, neg, minimum=minimum, sides=sides))
    return values
