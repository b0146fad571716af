"""Figures of the checks that judge maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.reports.figures.drawing import Drawing, Figure, chart_figure, columns
from raiaudit.reports.words.map_verdicts import method_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from raiaudit.audit.results import Results

__all__ = ["FIGURES"]


def _traces(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    import polars as pl

    from raiaudit.reports.charts import trace_curves

    meant = {
        "most": "the lower a curve, the better the ranking",
        "least": "the higher a curve, the better the ranking",
    }
    for first, meaning in meant.items():
        part = table.filter(pl.col("first") == first)
        caption = f"Prediction while the {first} relevant features go first, mean and 95 % band: {meaning}."
        means = part.group_by("map", maintain_order=True).agg(pl.col("probability").mean())
        told = "; ".join(f"{name}: mean {mean:.3f}" for name, mean in means.iter_rows())
        yield chart_figure(caption, trace_curves(part, first=first), told)


def _gains(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    import polars as pl

    from raiaudit.reports.charts import gains_over_controls

    part = table.filter(pl.col("metric") == "deletion_auc").drop_nulls("gain")
    if part.is_empty():
        return
    caption = "How much better than its controls each method ranks, with simultaneous 95 % intervals."
    told = "; ".join(
        f"{method_words(row['method'])} against {row['control']}: {row['gain']:.3f}{_limits(row)}"
        for row in part.iter_rows(named=True)
    )
    yield chart_figure(caption, gains_over_controls(part), told)


def _limits(row: dict[str, float | None]) -> str:
    low, high = row["low"], row["high"]
    return "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"


def _cascade(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    import polars as pl

    from raiaudit.reports.charts import randomisation_cascade

    captions = {
        "signed": "How alike maps stay while the model forgets, by ranks.",
        "ssim": "The same by structural similarity of brightness (SSIM).",
    }
    for similarity, caption in captions.items():
        part = table.filter(pl.col("similarity") == similarity).drop_nulls("value")
        if part.is_empty():
            continue
        order = part.sort("stage")["layers"].unique(maintain_order=True).to_list()
        if part["known_bad"].any():
            caption += " Known bad: guided backpropagation."
        shown = part.with_columns(method=pl.when("known_bad").then(pl.lit("known bad")).otherwise("method"))
        last = shown.filter(pl.col("stage") == pl.col("stage").max())
        told = "; ".join(
            f"{method_words(name)}: {value:.2f} when all is random, {chance:.2f} by chance"
            for name, value, chance in last.select("method", "value", "chance").drop_nulls().iter_rows()
        )
        yield chart_figure(
            caption, randomisation_cascade(shown, order=order, ssim=similarity == "ssim"), told
        )


def _labels(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    import polars as pl

    from raiaudit.reports.charts import label_dependence

    trained = {"shuffled": "on shuffled labels", "retrained": "once more on the right labels"}
    shown = table.with_columns(trained=pl.col("twin").replace_strict(trained))
    caption = (
        "How alike maps are to those of the same recipe trained on shuffled labels (near 0 where a map shows "
        "what was learnt), and once more on the right ones (as alike as honest maps are), with 95 % "
        f"intervals. {table['learnt'][0]:.0%} of the shuffled labels were learnt."
    )
    told = "; ".join(
        f"{method_words(row['method'])} trained {row['trained']}: {row['value']:.2f}{_limits(row)}"
        for row in shown.iter_rows(named=True)
    )
    yield chart_figure(caption, label_dependence(shown), told)


FIGURES: dict[str, tuple[Drawing, ...]] = {
    "explanations.faithfulness": (
        Drawing("tests", columns("method metric control gain low high"), "Gains over controls", _gains),
        Drawing("traces", columns("map first removed probability low high"), "Perturbation traces", _traces),
    ),
    "explanations.randomisation": (
        Drawing(
            "cascade",
            columns("method known_bad similarity stage layers value low high chance"),
            "Randomisation cascade",
            _cascade,
        ),
        Drawing(
            "labels",
            columns("method twin value low high learnt"),
            "Maps of models trained on shuffled labels",
            _labels,
            optional=True,
        ),
    ),
}
