"""Rules and laws: impact ratios, what base rates force, and the rates at every threshold."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from raiaudit.reports.figures.drawing import Drawing, chart_figure, columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from raiaudit.audit.results import Results
    from raiaudit.reports.figures.drawing import Figure

__all__ = ["FIGURES"]

_GROUPS_SHOWN = 16
_ATTRIBUTES_SHOWN = 1  # the dashboard draws the thresholds of all


def _ratios(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import impact_ratios

    for (attribute,), rows in table.group_by("attribute", maintain_order=True):
        shown = rows.sort("n", descending=True).head(_GROUPS_SHOWN)
        told = "; ".join(
            f"{group}: " + ("not defined" if ratio is None else f"{ratio:.2f}, {said}")
            for group, ratio, said in shown.select("group", "ratio", "verdict").iter_rows()
        )
        caption = (
            f"Four-fifths rule by {attribute}: impact ratios with simultaneous intervals, 0.8 dashed; "
            f"grey: too small to judge.{_left(rows.height)}"
        )
        yield chart_figure(caption, impact_ratios(shown), told)


def _forced(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import forced_rates

    for (attribute,), rows in table.group_by("attribute", maintain_order=True):
        able = rows.drop_nulls("forced_fpr").sort("n", descending=True)
        if able.is_empty():
            continue
        shown = able.head(_GROUPS_SHOWN)
        told = "; ".join(
            f"{group}: audited {'not defined' if fpr is None else f'{fpr:.1%}'}, forced {forced:.1%}"
            for group, fpr, forced in shown.select("group", "fpr", "forced_fpr").iter_rows()
        )
        caption = (
            f"Base rates by {attribute}: the false-positive rate as audited, and what each group's base rate "
            f"would force on it if PPV and FNR were those of all groups together.{_left(able.height)}"
        )
        yield chart_figure(caption, forced_rates(shown), told)


def _thresholds(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    import polars as pl

    from raiaudit.reports.charts import rates_by_threshold

    lines, points = table.filter(~pl.col("audited")), table.filter(pl.col("audited"))
    for (attribute,), rows in islice(lines.group_by("attribute", maintain_order=True), _ATTRIBUTES_SHOWN):
        here = points.filter(attribute=attribute)
        for rate, words in _RATES.items():
            told = "; ".join(
                f"{group}: {selected} of {n} predicted positive"
                for group, selected, n in here.select(
                    "group", "selected", pl.sum_horizontal("tp", "fp", "fn", "tn")
                ).iter_rows()
            )
            caption = f"{words} by threshold and {attribute}, large groups; dots: the audited predictions."
            yield chart_figure(caption, rates_by_threshold(rows, here, rate), f"Audited: {told}.")


_RATES = {"selection": "Selection rate", "tpr": "True-positive rate", "fpr": "False-positive rate"}


def _left(groups: int) -> str:
    return f" The {_GROUPS_SHOWN} largest of {groups} groups." if groups > _GROUPS_SHOWN else ""


FIGURES: dict[str, tuple[Drawing, ...]] = {
    "fairness.profiles": (
        Drawing(
            "four_fifths",
            columns("attribute group n ratio low high verdict"),
            "Four-fifths rule",
            _ratios,
            optional=True,
        ),
        Drawing(
            "impossibility",
            columns("attribute group n fpr fpr_low fpr_high forced_fpr forced_fpr_low forced_fpr_high"),
            "Base rates",
            _forced,
            optional=True,
        ),
        Drawing(
            "thresholds",
            columns("attribute group threshold selected tp fp fn tn audited"),
            "Thresholds",
            _thresholds,
            optional=True,
        ),
    ),
}
