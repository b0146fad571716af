"""Privacy: membership, attributes, ε from both sides, who is at risk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.reports.figures.drawing import Drawing, chart_figure, columns, points_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from raiaudit.audit.results import Results
    from raiaudit.reports.figures.drawing import Figure

__all__ = ["FIGURES"]


def _roc(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import membership_roc

    ordered = table.sort("rank", maintain_order=True) if "rank" in table.columns else table
    first = f" ({ordered['attack'][0]})" if ordered["attack"].n_unique() > 2 else ""
    caption = (
        "Membership ROC on log–log axes; the dashed diagonal is chance, the band the interval of the "
        f"true-positive rate at each threshold by itself{first}."
    )
    yield chart_figure(caption, membership_roc(table), points_of(ordered, "attack", "fpr", "tpr"))


def _histogram(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import score_histogram

    caption = "Membership scores of members (filled) and non-members (outlined)."
    yield chart_figure(caption, score_histogram(table), f"{table.height} bins.")


def _attributes(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import attribute_gain

    told = "; ".join(
        f"{column}, {of}: {value:+.1%}"
        for column, of, value in table.select("column", "of", "value").iter_rows()
    )
    caption = "What the model adds to guessing an attribute (dashed: nothing), for members and for others."
    yield chart_figure(caption, attribute_gain(table), told)


def _epsilon(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import epsilon_bar

    def number(value: float | None) -> str:
        return "not defined" if value is None else f"{value:.3g}"

    told = "; ".join(
        f"{row['canaries']} canaries, {row['bound']}: shown {number(row['low'])}, "
        f"a perfect attack {number(row['cap'])}, accountant {number(row['high'])}"
        for row in table.iter_rows(named=True)
    )
    caption = "ε from both sides: what canaries showed at least, and what the accountant claims at most."
    yield chart_figure(caption, epsilon_bar(table), told)


def _risk(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    import polars as pl

    from raiaudit.reports.charts import risk_by_group

    for (attribute,), rows in table.group_by("attribute", maintain_order=True):
        told = "; ".join(
            f"{group} {'found' if metric == 'group_tpr' else 'accused'} "
            + ("not defined" if share is None else f"{share:.1%}")
            for group, metric, share in rows.select("group", "metric", "value").iter_rows()
        )
        rate, attack = rows.select(pl.first("fpr"), pl.first("attack")).row(0)
        caption = (
            f"Membership risk by {attribute} ({attack}): one threshold for all, set at {rate:.1%} FPR (tick)."
        )
        yield chart_figure(caption, risk_by_group(rows), told)


def _exposed(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import exposed_members

    if not {"phi", "mean_in", "mean_out"} <= set(table.columns):
        return  # without shadow models there is nothing beside the model's own confidence
    told = ", ".join(table["example_id"].to_list())
    caption = (
        "The most exposed members: how sure the model is of each, beside shadow models with and without it."
    )
    yield chart_figure(caption, exposed_members(table), told)


FIGURES: dict[str, tuple[Drawing, ...]] = {
    "privacy.membership": (
        Drawing("roc", columns("fpr tpr attack"), "Membership ROC", _roc),
        Drawing("histogram", columns("low high count member"), "Score histogram", _histogram),
    ),
    "privacy.label_only": (
        Drawing("roc", columns("fpr tpr attack"), "Membership ROC by labels", _roc),
        Drawing("histogram", columns("low high count member"), "Score histogram", _histogram),
    ),
    "privacy.attribute_inference": (
        Drawing("gain", columns("column of value low high n"), "Attribute gain", _attributes),
    ),
    "privacy.canaries": (
        Drawing(
            "epsilon", columns("canaries threat_model bound low cap high"), "ε from both sides", _epsilon
        ),
    ),
    "privacy.at_risk": (
        Drawing(
            "by_group",
            columns("attribute group metric value low high n fpr attack"),
            "Risk by group",
            _risk,
            optional=True,
        ),
        Drawing("exposed", columns("example_id rank"), "Exposed members", _exposed, optional=True),
    ),
}
