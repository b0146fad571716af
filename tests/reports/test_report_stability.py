"""What reports draw of maps under attack."""

from __future__ import annotations

import io

import numpy as np
import polars as pl
from PIL import Image

from raiaudit.reports import charts
from raiaudit.reports.pictures.examples import map_pair


def test_the_curve_names_method_and_attack() -> None:
    table = pl.DataFrame(
        {
            "method": ["saliency"] * 4,
            "attack": ["noise", "noise", "ghorbani", "ghorbani"],
            "eps": [0.0, 0.1, 0.0, 0.1],
            "overlap": [1.0, 0.8, 1.0, 0.3],
            "low": [1.0, 0.7, 1.0, 0.2],
            "high": [1.0, 0.9, 1.0, 0.4],
        }
    )
    svg = charts.to_svg(charts.overlap_against_eps(table))
    assert "saliency, noise" in svg
    assert "saliency, attack" in svg
    assert "input units" in svg


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)), dtype=float)


def test_a_pair_shows_both_inputs_and_where_each_map_lies() -> None:
    """4×4 pixels enlarged 19-fold: left the map marks the first pixel, right the last."""
    first, last = np.zeros(16), np.zeros(16)
    first[0], last[15] = 1.0, 1.0
    row = {
        "shape": [1, 4, 4],
        "input": np.full(16, 0.25),
        "attacked": np.full(16, 0.75),
        "map": first,
        "attacked_map": last,
    }
    png = map_pair(row)
    assert png is not None
    drawn = pixels(png)
    factor = drawn.shape[0] // 9
    assert drawn.shape == (9 * factor, 9 * factor, 3)
    cell = drawn[factor // 2 :: factor, factor // 2 :: factor]
    assert cell[0, 0].tolist() == [64] * 3
    assert cell[0, 8].tolist() == [191] * 3
    red = cell[..., 0] - cell[..., 2]
    marked = [tuple(map(int, at)) for at in np.argwhere(red > 50)]
    assert marked == [(5, 0), (8, 8)]


def test_rows_of_a_table_have_no_picture() -> None:
    row = {
        "shape": [3],
        "input": [1.0] * 3,
        "attacked": [1.0] * 3,
        "map": [1.0] * 3,
        "attacked_map": [1.0] * 3,
    }
    assert map_pair(row) is None
