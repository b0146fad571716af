"""Scores told apart by shape, pictures side by side, lists of ids; names that try to be markup."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from raiaudit.reports import charts
from raiaudit.reports.figures import figures, sheets
from raiaudit.reports.pictures.examples import beside

NOTHING: Any = None
SCORES = pl.DataFrame(
    {
        "class": ["a", "b", "c"] * 2,
        "concept": ["<b>x</b>"] * 3 + ["y"] * 3,
        "layer": ["penultimate"] * 6,
        "value": [1.0, 0.4, None, 0.0, 0.5, 0.2],
        "low": [0.9, 0.1, None, 0.0, 0.2, 0.1],
        "high": [1.0, 0.8, None, 0.1, 0.9, 0.3],
        "p_value": [0.001, 0.6, None, 0.01, 0.9, 0.049],
        "accuracy": [0.8, 0.8, 0.8, 0.7, 0.7, 0.7],
        "members": [50] * 6,
        "n": [40] * 6,
        "reason": [None, None, "3 audited examples of the class; 20 are needed", None, None, None],
    }
)


def test_a_chart_for_each_of_the_fewer_and_words_for_every_row() -> None:
    drawn, left_out = figures("explanations.concepts", {("explanations.concepts", "scores"): SCORES}, NOTHING)
    assert left_out == []
    assert len(drawn) == 2  # two concepts, three classes
    assert "concept <b>x</b>" in drawn[0].caption
    assert "1 without a score" in drawn[0].caption
    assert "a: 100.0 % (significant)" in drawn[0].alt
    assert "c: no score, 3 audited examples" in drawn[0].alt
    assert "c: 20.0 % (significant)" in drawn[1].alt
    svg = drawn[0].content.decode()
    assert "<b>" not in svg
    assert len(re.findall(r'aria-roledescription="point"', svg)) >= 2


def test_significance_is_told_by_shape() -> None:
    chart = charts.concept_scores(
        SCORES.head(2).with_columns(verdict=pl.Series(["significant", "not significant"])), rows="class"
    )
    svg = charts.to_svg(chart)
    texts = set(re.findall(r">([^<>]+)</text>", svg))
    assert {"significant", "not significant", "a", "b"} <= texts
    points = re.findall(r'aria-roledescription="point"[^>]* d="([^"]+)"', svg)
    assert len({re.sub(r"[\d.,-]+", "", path) for path in points}) == 2


def test_what_has_no_score_at_all_is_not_drawn() -> None:
    empty = SCORES.with_columns(value=pl.lit(None, dtype=pl.Float64))
    drawn, _ = figures("explanations.concepts", {("explanations.concepts", "scores"): empty}, NOTHING)
    assert drawn == []


def picture(value: float) -> list[float]:
    return [value] * 16


def test_the_picture_holds_the_image_and_its_training_images_in_order() -> None:
    row = {
        "shape": [1, 4, 4],
        "input": picture(0.2),
        "train_input": [picture(0.4), picture(0.6), picture(0.8)],
    }
    png = beside(row)
    assert png is not None
    pixels = np.asarray(Image.open(io.BytesIO(png)))
    seen = [int(value) for value, _ in groups(pixels[0, :, 0])]
    assert seen == [51, 255, 102, 255, 153, 255, 204]
    assert beside({**row, "shape": [16]}) is None


def groups(values: Any) -> list[tuple[int, int]]:
    starts = np.flatnonzero(np.diff(values, prepend=-1))
    return [(int(values[start]), int(start)) for start in starts]


def test_examples_and_suspects_are_listed_by_id_and_class() -> None:
    examples = pl.DataFrame(
        {
            "example_id": ["t1"] * 6,
            "label": ["cat"] * 6,
            "predicted": ["dog"] * 6,
            "relation": ["helpful"] * 2 + ["harmful"] * 2 + ["nearest"] * 2,
            "rank": [1, 2] * 3,
            "train_id": ["a", "b", "c", "d", "e", "f"],
            "score": [2.0, 1.0, -2.0, -1.0, 0.9, 0.8],
            "train_label": ["dog", "dog", "cat", "cat", "dog", "cat"],
        }
    )
    suspects = pl.DataFrame(
        {
            "example_id": ["q"],
            "label": ["cat"],
            "predicted": ["dog"],
            "self_influence": [12.5],
            "neighbours_agree": [0.2],
        }
    )
    evidence = {
        ("explanations.influence", "examples"): examples,
        ("explanations.influence", "suspects"): suspects,
    }
    first, second = sheets("explanations.influence", evidence, NOTHING)
    assert first.rows == (
        ("t1: cat\u00a0→\u00a0dog", "a (dog), b (dog)", "c (cat), d (cat)", "e (dog), f (cat)"),
    )
    assert second.rows == (("q", "cat", "dog", "12.5", "20.0 %"),)
