"""Exact p-values, intervals and adjusted p-values of many subgroups at once, against other libraries."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from raiaudit.audit.fairness.by_group.metrics import Counts
from raiaudit.audit.fairness.subgroups.comparison import Comparison, adjusted, bounds
from raiaudit.audit.fairness.subgroups.hypergeometric import log_p_few, log_p_many
from raiaudit.audit.statistics.intervals import newcombe, wilson
from raiaudit.audit.statistics.multiplicity import benjamini_hochberg


def test_small_tables_are_exact_in_both_tails() -> None:
    rng = np.random.default_rng(0)
    total = rng.integers(2, 400, 2000)
    n, k = rng.integers(0, total + 1), rng.integers(0, total + 1)
    x = rng.integers(np.maximum(0, n + k - total), np.minimum(n, k) + 1)
    few, many = stats.hypergeom.cdf(x, total, k, n), stats.hypergeom.sf(x - 1, total, k, n)
    assert np.exp(log_p_few(x, n, k, total)) == pytest.approx(few, rel=1e-9)
    assert np.exp(log_p_many(x, n, k, total)) == pytest.approx(many, rel=1e-9)


def test_the_test_is_fishers() -> None:
    [p] = np.exp(log_p_few(np.array([3]), np.array([20]), np.array([30]), np.array([70])))
    assert p == pytest.approx(stats.fisher_exact([[3, 17], [27, 23]], alternative="less").pvalue, rel=1e-12)


def test_large_tables_are_within_a_thousandth_far_into_the_tail() -> None:
    rng = np.random.default_rng(1)
    worst = 0.0
    for _ in range(40):
        total = int(10 ** rng.uniform(3, 5))
        n, k = (int(total * rng.uniform(0.05, 0.95)) for _ in range(2))
        law = stats.hypergeom(total, k, n)
        if law.var() < 100:
            continue
        x = np.unique((law.mean() + law.std() * np.array([-6, -4, -2, -1, -0.1, 0, 0.5, 2])).astype(np.int64))
        ours = np.exp(log_p_few(x, *(np.full(len(x), count) for count in (n, k, total))))
        worst = max(worst, float(np.abs(ours / law.cdf(x) - 1).max()))
    assert 0 < worst < 1e-3


def test_billions_of_people_have_an_order_where_p_underflows() -> None:
    x = np.array([10**8 - 10**6, 10**8 - 2 * 10**6])
    first, second = log_p_few(x, np.full(2, 10**9), np.full(2, 10**9), np.full(2, 10**10))
    assert second < first < -1000


@pytest.mark.parametrize(("n", "k"), [(0, 5), (10, 0), (10, 20), (20, 7)])
def test_an_empty_margin_is_no_evidence(n: int, k: int) -> None:
    x = np.array([min(n, k, max(0, n + k - 20))])
    assert np.exp(log_p_few(x, np.array([n]), np.array([k]), np.array([20]))) == pytest.approx(1)


def test_intervals_are_those_of_one_table() -> None:
    rng = np.random.default_rng(2)
    n, m = rng.integers(1, 200, 50), rng.integers(1, 2000, 50)
    x, y = rng.integers(0, n + 1), rng.integers(0, m + 1)
    group, rest = Counts(x[:, None], n[:, None]), Counts(y[:, None], m[:, None])
    wide = Comparison(group, rest, np.array([-1])).bounds(0.99)
    own = bounds(group, 0.99)
    for i in range(50):
        assert (own.low[i, 0], own.high[i, 0]) == pytest.approx(wilson(int(x[i]), int(n[i]), 0.99), abs=1e-12)
        expected = newcombe(int(x[i]), int(n[i]), int(y[i]), int(m[i]), 0.99)
        assert (wide.low[i, 0], wide.high[i, 0]) == pytest.approx(expected, abs=1e-12)
    nobody = bounds(Counts(np.array([0]), np.array([0])), 0.95)
    assert np.isnan([nobody.low[0], nobody.high[0]]).all()


def test_one_side_is_what_is_worse_and_both_where_neither_is() -> None:
    group = Counts(np.array([[60, 60, 60]]), np.array([[100, 100, 100]]))
    rest = Counts(np.array([[700, 700, 700]]), np.array([[1000, 1000, 1000]]))
    p = np.exp(Comparison(group, rest, np.array([-1, 1, 0])).search_log_p())[0]
    table = [[60, 40], [700, 300]]
    less, greater = (stats.fisher_exact(table, alternative=side).pvalue for side in ("less", "greater"))
    assert p == pytest.approx([less, greater, 2 * less], rel=1e-9)


def test_adjusted_p_values() -> None:
    p = np.random.default_rng(3).random(200) ** 3
    assert np.exp(adjusted(np.log(p), "bh")) == pytest.approx(benjamini_hochberg(p.tolist()), rel=1e-12)
    assert np.exp(adjusted(np.log(p), "bh")) == pytest.approx(stats.false_discovery_control(p), rel=1e-12)
    by = stats.false_discovery_control(p, method="by")
    assert np.exp(adjusted(np.log(p), "by")) == pytest.approx(by, rel=1e-12)
    assert len(adjusted(np.empty(0), "by")) == 0
