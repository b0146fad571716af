"""Query curves: counted one by one, and drawn from a real attack."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from raiaudit.audit.robustness.query_curve import query_curve
from raiaudit.audit.statistics.intervals import wilson


def test_every_point_is_a_count() -> None:
    rng = np.random.default_rng(0)
    correct = rng.random(300) < 0.9
    broken = ~correct | (rng.random(300) < 0.6)
    forwards = np.where(correct, rng.integers(2, 5000, 300), 1)
    curve = query_curve(broken, forwards, correct)
    assert 40 <= curve.height <= 60
    for queries, share, low, high in curve.iter_rows():
        standing = sum(
            bool(right) and not (lost and spent <= queries)
            for lost, spent, right in zip(broken, forwards, correct, strict=True)
        )
        assert share == standing / 300
        assert (low, high) == pytest.approx(wilson(standing, 300))
    assert curve["queries"].is_sorted()
    assert curve["robust_accuracy"].is_sorted(descending=True)
    assert curve["robust_accuracy"][0] == correct.mean()
    assert curve["robust_accuracy"][-1] == (~broken).mean()
    assert (curve["queries"][0], curve["queries"][-1]) == (1, forwards.max())


def test_queries_of_unbroken_examples_stretch_the_curve_and_do_not_lower_it() -> None:
    curve = query_curve(np.array([True, False]), np.array([3, 1000]), np.array([True, True]))
    assert curve["queries"][-1] == 1000
    assert dict(curve.select("queries", "robust_accuracy").iter_rows()) == {
        queries: 1.0 if queries < 3 else 0.5 for queries in curve["queries"]
    }


def test_clean_errors_are_lost_before_the_first_query() -> None:
    curve = query_curve(np.array([True, True]), np.array([1, 1]), np.array([False, False]))
    assert curve.rows() == [(1, 0.0, *wilson(0, 2))]


def test_no_examples() -> None:
    none = np.array([], dtype=bool)
    curve = query_curve(none, none.astype(np.int64), none)
    assert curve.height == 0
    assert curve.schema["queries"] == pl.Int64
