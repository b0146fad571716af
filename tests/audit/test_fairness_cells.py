"""Cells: counts, sums and margins by brute force; the cell bootstrap against the row bootstrap."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
import pytest
from scipy import stats

from raiaudit.audit.fairness.counting.cells import UNKNOWN, Axis, Cells

AXES = (Axis("race", ("a", "b", "c")), Axis("label", ("0", "1")), Axis("predicted", ("0", "1")))


def _codes(n: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.choice(3, n, p=[0.6, 0.3, 0.1]), rng.integers(2, size=n), rng.integers(2, size=n)]


def test_every_cell_is_the_number_of_its_rows() -> None:
    codes = _codes(500)
    cells = Cells.count(AXES, codes)
    expected = Counter(zip(*(code.tolist() for code in codes), strict=True))
    assert {index: int(n) for index, n in np.ndenumerate(cells.counts) if n} == dict(expected)


def test_shards_add_to_the_whole_in_any_order() -> None:
    codes = _codes(1000)
    order = np.random.default_rng(1).permutation(1000)
    parts = [Cells.count(AXES, [code[part] for code in codes]) for part in np.array_split(order, 7)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    assert (total.counts == Cells.count(AXES, codes).counts).all()


def test_margins_are_sums_in_the_order_asked_for() -> None:
    cells = Cells.count(AXES, _codes(300))
    margin = cells.margin("predicted", "race")
    assert [axis.name for axis in margin.axes] == ["predicted", "race"]
    assert (margin.counts == cells.counts.sum(axis=1).T).all()
    assert cells.margin("label").counts.tolist() == cells.counts.sum(axis=(0, 2)).tolist()
    assert (cells.margin("label", "predicted", "race").counts == cells.counts.transpose(1, 2, 0)).all()


def test_missing_is_a_level_and_the_last() -> None:
    values = pl.Series(["z", None, "a", "z"])
    axis = Axis.of("sex", values)
    assert axis.levels == ("a", "z", UNKNOWN)
    assert axis.codes(values).tolist() == [1, 2, 0, 1]


def test_strangers_and_foreign_axes_are_refused() -> None:
    with pytest.raises(ValueError, match="'x' is no level of sex: a, b"):
        Axis("sex", ("a", "b")).codes(pl.Series(["a", "x"]))
    cells = Cells.count(AXES, _codes(10))
    with pytest.raises(ValueError, match="do not add"):
        cells + cells.margin("race")
    wide = Axis("wide", tuple(map(str, range(10_000))))
    with pytest.raises(ValueError, match="too many"):
        Cells.count([wide, wide], [np.zeros(1, dtype=np.int64)] * 2)


def test_table_lists_the_cells_that_are_not_empty() -> None:
    cells = Cells.count(AXES, [np.array([0, 0, 2]), np.array([1, 1, 0]), np.array([0, 0, 1])])
    assert cells.table("race").rows() == [("race", "a", "1", "0", 2), ("race", "c", "0", "1", 1)]


def test_cell_bootstrap_is_distributed_as_the_row_bootstrap() -> None:
    """Kolmogorov–Smirnov on the gap of selection rates of two groups, 2,000 replicates each way."""
    codes, times = _codes(400, seed=3), 2000
    rng = np.random.default_rng(4)

    def gap(counts: np.ndarray) -> np.ndarray:
        selected, n = counts[..., 1].sum(-1), counts.sum((-2, -1))
        return np.asarray(selected[..., 0] / n[..., 0] - selected[..., 1] / n[..., 1])

    by_cell = gap(Cells.count(AXES, codes).resample(rng, times))
    drawn = rng.integers(400, size=(times, 400))
    by_row = [gap(Cells.count(AXES, [code[index] for code in codes]).counts) for index in drawn]
    assert stats.ks_2samp(by_cell, by_row).pvalue > 0.01


def test_replicates_keep_the_total_and_the_empty_cells() -> None:
    cells = Cells.count(AXES, [np.zeros(50, dtype=np.int64)] * 3)
    assert (cells.resample(np.random.default_rng(0), 20)[:, 0, 0, 0] == 50).all()
