"""Figures of attribution: every column and interval in words, methods told apart, verdicts beside maps."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from raiaudit.audit.measurement import Measurement
from raiaudit.reports.charts import to_svg
from raiaudit.reports.figures import word_maps
from raiaudit.reports.figures.explanations import FIGURES, spokesman

BEATEN = "does not beat random rankings"


def shares() -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for method in ("integrated_gradients", "kernel_shap"):
        for by, levels in {"all": ["all"], "sex": ["Female", "Male"], "race": ["only one"]}.items():
            rows += [
                {
                    "method": method,
                    "column": column,
                    "by": by,
                    "level": level,
                    "share": share,
                    "low": share - 0.05,
                    "high": share + 0.05,
                    "n": 20,
                    "p": 0.01 if by == "sex" and column == "age" else None,
                    "watched": column == "sex",
                }
                for level in levels
                for column, share in (("age", 0.625), ("sex", 0.375))
            ]
    return pl.DataFrame(rows)


def maps() -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "example_id": f"e{row}",
                "label": "no",
                "predicted": "yes",
                "shape": [1, 2, 2],
                "input": [0.0, 0.5, 1.0, 0.2],
                "map": [1.0, -1.0, 0.0, 0.5],
                "features": None,
                "method": method,
                "verdict": "beats random rankings" if method == "saliency" else BEATEN,
            }
            for method in ("saliency", "grad_cam")
            for row in range(5)
        ]
    )


def judged(check: str, metric: str, method: str, low: float, high: float) -> Measurement:
    return Measurement(
        check=check,
        metric=metric,
        value=(low + high) / 2,
        low=low,
        high=high,
        n=10,
        better="higher",
        where={"method": method},
        method="petsiuk2018",
    )


def results(*measurements: Measurement, modality: str = "image") -> Any:
    return SimpleNamespace(measurements=measurements, data=SimpleNamespace(modality=modality))


def drawn(table: str, frame: pl.DataFrame, found: Any = None) -> list[Any]:
    (drawing,) = [one for one in FIGURES["explanations.attribution"] if one.table == table]
    assert drawing.columns <= set(frame.columns)
    return list(drawing.draw(frame, found or results()))


def test_shares_are_said_in_words_and_drawn_by_method_and_group() -> None:
    figures = drawn("shares", shares())
    assert len(figures) == 3  # each method over all, the first by sex; a group of one level is no comparison
    assert "age: 0.625 (0.575 to 0.675)" in figures[0].alt
    assert "by sex" in figures[1].caption
    assert "differ (adjusted p ≤ 0.05) in age" in figures[1].caption
    assert "kernel shap" in figures[2].caption
    for figure in figures:
        assert "age" in to_svg(figure.drawing)
    assert "group columns and proxies" in to_svg(figures[0].drawing)


def test_words_of_each_class_have_a_chart_with_their_support() -> None:
    table = pl.DataFrame(
        {
            "method": ["occlusion"] * 2,
            "class": "good",
            "word": ["fine", "dull"],
            "mean": [0.4, -0.1],
            "texts": 7,
        }
    )
    (figure,) = drawn("words", table)
    assert "fine 0.400; dull -0.100" in figure.alt
    assert "fine (in 7)" in to_svg(figure.drawing)


def test_maps_of_several_methods_show_the_same_examples_with_their_verdict() -> None:
    beaten = judged("explanations.faithfulness", "faithfulness_gain", "grad_cam", -0.2, -0.1)
    beats = judged("explanations.faithfulness", "faithfulness_gain", "saliency", 0.1, 0.2)
    figures = drawn("maps", maps(), results(beaten, beats))
    assert [figure.caption.split(",")[0] for figure in figures] == ["saliency", "grad cam"] * 3
    assert len({figure.row for figure in figures}) == 1  # three examples of two maps fill a page's width
    assert all(("no better than" in figure.alt) == ("grad cam" in figure.caption) for figure in figures)


def test_the_best_judged_method_speaks_for_all() -> None:
    worse = judged("explanations.faithfulness", "faithfulness_gain", "integrated_gradients", 0.1, 0.2)
    better = judged("explanations.faithfulness", "faithfulness_gain", "kernel_shap", 0.3, 0.4)
    # By deletion alone, in the other check, it is the other way round.
    deletion = judged("explanations.attribution", "deletion_gain", "integrated_gradients", 0.8, 0.9)
    figures = drawn("shares", shares(), results(worse, better, deletion))
    (by_sex,) = [figure for figure in figures if "by sex" in figure.caption]
    assert "kernel shap" in by_sex.caption
    assert "most faithful of 2 methods" in by_sex.caption
    means = pl.concat(
        maps()
        .head(1)
        .select(
            pl.lit(name).alias("method"), "shape", "map", "input", pl.lit("3").alias("class"), n=pl.lit(12)
        )
        for name in ("integrated_gradients", "kernel_shap")
    )
    (figure,) = drawn("class_maps", means, results(worse, better, deletion))
    assert figure.caption.startswith("kernel shap")
    evidence = {("explanations.attribution", "class_maps"): means}
    assert "kernel shap, the most faithful of 2" in spokesman(evidence, results(worse, better))
    assert "integrated gradients, the best by deletion of 2" in spokesman(evidence, results(deletion))


def test_rows_of_a_table_are_bars_with_signed_numbers_of_the_best_method() -> None:
    table = maps().with_columns(pl.Series("features", [["age = 39", "sex = F", "hours = 4", "x = <b>"]] * 10))
    better = judged("explanations.faithfulness", "faithfulness_gain", "grad_cam", 0.3, 0.4)
    figures = drawn("maps", table, results(better, modality="tabular"))
    assert len(figures) == 4
    assert all(figure.caption.startswith("grad cam") for figure in figures)
    svg = to_svg(figures[0].drawing)
    for said in ("age = 39", "+100\u00a0%", "−100\u00a0%", "+50\u00a0%"):
        assert said in svg
    assert "<b>" not in svg
    assert "sex = F −100\u00a0%" in figures[0].alt


def test_whatever_is_made_of_maps_carries_their_verdict() -> None:
    table = shares().filter(method="kernel_shap")
    beaten = results(judged("explanations.faithfulness", "faithfulness_gain", "kernel_shap", -0.2, -0.1))
    assert all(
        "(✗ no better than its controls)" in figure.caption for figure in drawn("shares", table, beaten)
    )
    said = {"method": ["kernel_shap"], "class": ["good"], "word": ["fine"], "mean": [0.4], "texts": [7]}
    (figure,) = drawn("words", pl.DataFrame(said), beaten)
    assert "(✗ no better than its controls)" in figure.caption
    assert (
        "(✗"
        in word_maps(
            {
                ("explanations.attribution", "maps"): maps()
                .head(1)
                .with_columns(method=pl.lit("kernel_shap"), features=pl.Series([["a", " ", "c" * 99, "d"]]))
            },
            beaten.__class__(measurements=beaten.measurements, data=SimpleNamespace(modality="text")),
        )[0].caption
    )


def test_mean_maps_name_their_class_and_count() -> None:
    table = maps().head(1).select("method", "shape", "map", "input", pl.lit("3").alias("class"), n=pl.lit(12))
    (figure,) = drawn("class_maps", table)
    assert figure.caption == "mean of 12 predicted “3”"
    assert figure.kind == "png"


@pytest.mark.parametrize(("several", "lead"), [(True, "saliency, e0"), (False, "e0")])
def test_named_features_say_which_method(several: bool, lead: str) -> None:
    table = maps()
    table = table.with_columns(pl.Series("features", [["a", "b", "c", "d"]] * table.height))
    if not several:
        table = table.filter(pl.col("method") == "saliency")
    words = word_maps({("explanations.attribution", "maps"): table}, results(modality="text"))
    assert words[0].caption.startswith(lead)
    assert words[0].words[:2] == (("a", 1.0, "+100\u00a0%"), ("b", -1.0, "−100\u00a0%"))


def test_pixels_have_no_names() -> None:
    nameless = maps().with_columns(features=pl.lit(None, dtype=pl.List(pl.String)))
    assert word_maps({("explanations.attribution", "maps"): nameless}, results()) == []
