"""Figures of attribution: every column and interval in words, methods told apart, verdicts beside maps."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from raiaudit.reports.charts import to_svg
from raiaudit.reports.figures import word_maps
from raiaudit.reports.figures.explanations import FIGURES

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


def drawn(table: str, frame: pl.DataFrame) -> list[Any]:
    (drawing,) = [one for one in FIGURES["explanations.attribution"] if one.table == table]
    assert drawing.columns <= set(frame.columns)
    results: Any = SimpleNamespace(measurements=[])  # nobody asked for faithfulness
    return list(drawing.draw(frame, results))


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
    figures = drawn("maps", maps())
    assert [figure.caption.split(",")[0] for figure in figures] == ["saliency", "grad cam"] * 3
    assert all((BEATEN in figure.alt) == ("grad cam" in figure.caption) for figure in figures)


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
    words = word_maps({("explanations.attribution", "maps"): table})
    assert words[0].caption.startswith(lead)
    assert words[0].words[0] == ("a", 1.0)
