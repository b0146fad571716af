"""The tables of `fairness.groups` and `fairness.counterfactual`: metrics by group, changes of level."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from raiaudit.reports.figures.sheet import Sheet
from raiaudit.reports.words.wording import decimal, in_percent, metric_title, percent

if TYPE_CHECKING:
    import polars as pl

    from raiaudit.audit.results import Results

__all__ = ["ASKED_OF", "COMPLEMENTS", "SHEETS"]

COMPLEMENTS = frozenset(
    {"true_negative_rate", "false_negative_rate", "false_discovery_rate", "false_omission_rate"}
)
"""Each is 1 less another rate: a table of both says everything twice."""
_ACROSS = 7
_GROUPS = 12
_METRICS = 24
_FEW = 3  # groups whose cells have room for one line
_CHANGES = 40
ASKED_OF = {
    "table": "columns set to another level",
    "audited": "words exchanged in the audited texts",
    "templates": "sentences from templates",
    "eec": "Equity Evaluation Corpus",
    "hatecheck": "HateCheck",
    "linked": "linked examples",
}
"""The source of counterfactual pairs, in words."""


def _by_group(table: pl.DataFrame, results: Results) -> Iterator[Sheet]:
    """A row a metric, a column a group; as many tables beside each other as the groups need."""
    import polars as pl

    if not {"attribute", "group", "metric", "value", "low", "high", "n"} <= set(table.columns):
        return
    if "slice" not in table.columns:
        table = table.with_columns(slice=pl.lit(""), note=pl.lit(None, pl.String))
    for (attribute,), rows in table.group_by("attribute", maintain_order=True):
        sizes = rows.group_by("group").agg(pl.col("n").max()).sort("n", "group", descending=[True, False])
        groups = sizes["group"].head(_GROUPS).to_list()
        cells: dict[tuple[str, str], dict[str, list[str]]] = {}
        for row in rows.filter(pl.col("group").is_in(groups)).iter_rows(named=True):
            if row["metric"] not in COMPLEMENTS:
                cells.setdefault((row["metric"], row["slice"]), {})[row["group"]] = _cell(row)
        shown = dict(list(cells.items())[:_METRICS])
        more = sizes.height - len(groups)
        note = (
            "In brackets the interval of each group by itself; n: the people a rate is of. *: not compared, "
            "for these are too few, or the group was not recorded. FNR = 1 − TPR, TNR = 1 − FPR, FDR = 1 − "
            "PPV, FOR = 1 − NPV."
        )
        left = f" {more:,} smaller groups are in the table by_group of the evidence." if more else ""
        left += f" {len(cells) - len(shown)} more metrics are there, too." if len(cells) > len(shown) else ""
        for start in range(0, len(groups), _ACROSS):
            part = groups[start : start + _ACROSS]
            last, between = start + _ACROSS >= len(groups), "\n" if len(part) > _FEW else "  "
            yield Sheet(
                f"Every metric by {attribute}{', continued' if start else ''}.",
                (("Metric", 1.35, False), *((group, 1.0, False) for group in part)),
                tuple(
                    (_name(*key), *(between.join(of.get(group, ())) for group in part))
                    for key, of in shown.items()
                ),
                note + left if last else "",
            )


def _name(metric: str, slice_: str) -> str:
    return metric_title(metric) + (f" ({slice_})" if slice_ else "")


def _cell(row: dict[str, Any]) -> list[str]:
    """Value, interval and n; undefined with its reason."""
    n = f"n\u00a0=\u00a0{row['n']:,}"
    if row["value"] is None:
        return [f"not defined: {row['note'] or 'no reason was recorded'}"]
    metric, star = row["metric"], "*" if row["note"] else ""
    value, *ends = (
        percent(number) if in_percent(metric) else decimal(number)
        for number in (row["value"], row["low"], row["high"])
        if number is not None
    )
    unit = "\u00a0%" if in_percent(metric) else ""
    interval = ",\u00a0".join(ends)
    lines = [f"{value}{unit}{star}", f"[{interval}]" if ends else "", n]
    return [line for line in lines if line]


def _changes(table: pl.DataFrame, results: Results) -> Iterator[Sheet]:
    """A row a pair of levels, the clearest first."""
    import polars as pl

    columns = (
        ("Change", 2.4, False),
        ("Pairs", 0.6, True),
        ("Turned", 0.6, True),
        ("Share", 0.65, True),
        ("Interval", 1.0, False),
        ("Net", 0.6, True),
        ("Interval", 1.1, False),
        ("Score", 0.6, True),
        ("p", 0.75, True),
    )
    order = ("p_adjusted", pl.col("effect").abs())
    measured = table.filter(pl.col("n") > 0)
    for (source,), rows in measured.group_by("source", maintain_order=True):
        ranked = rows.sort(*order, descending=[False, True], nulls_last=True, maintain_order=True)
        lines = tuple(
            (
                f"{row['attribute']}: {row['from']} → {row['to']}",
                f"{row['n']:,}",
                f"{row['flips']:,}",
                "" if row["flip_rate"] is None else f"{percent(row['flip_rate'])}\u00a0%",
                _span(row["flip_low"], row["flip_high"], signed=False),
                "" if row["effect"] is None else f"{100 * row['effect']:+.1f}",
                _span(row["low"], row["high"], signed=True),
                "" if row["score_change"] is None else f"{row['score_change']:+.3f}",
                _p(row["p_adjusted"]),
            )
            for row in ranked.head(_CHANGES).iter_rows(named=True)
        )
        more = f" The first {_CHANGES} of {rows.height}." if rows.height > _CHANGES else ""
        note = (
            "Share: of decisions that turned. Net: turned to the positive class less turned from it, in "
            "points. Score: mean change of the positive class's. p is corrected for all pairs (Holm); "
            f"empty: too few pairs.{more}"
        )
        yield Sheet(
            f"Decisions that turn with the group: {ASKED_OF.get(str(source), str(source))}.",
            columns,
            lines,
            note,
        )


def _span(low: float | None, high: float | None, *, signed: bool) -> str:
    if low is None or high is None:
        return ""
    return "[" + ",\u00a0".join(f"{100 * end:{'+' if signed else ''}.1f}" for end in (low, high)) + "]"


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "<\u00a00.0001" if value < 1e-4 else f"{value:.4f}"


SHEETS: Mapping[str, Mapping[str, Callable[[pl.DataFrame, Results], Iterator[Sheet]]]] = {
    "fairness.groups": {"by_group": _by_group},
    "fairness.counterfactual": {"flips": _changes},
}
