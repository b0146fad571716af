"""Comparisons hold simultaneously; the permutation test is exact. By simulation and enumeration."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from raiaudit.audit.fairness.by_group.comparisons import gaps_to_reference, smallest_of_ratios, widest_gap
from raiaudit.audit.fairness.by_group.permutation import gap_of_means, permutation_p_value
from raiaudit.audit.fairness.by_group.values import GroupValue, area, macro_recall, proportion
from raiaudit.audit.statistics.intervals import newcombe, ratio, wilson

SIZES = np.array([60, 100, 40, 200])


def _values(counts: np.ndarray, sizes: np.ndarray = SIZES, minimum: int = 1) -> list[GroupValue]:
    return [
        proportion(f"g{i}", int(k), int(n), minimum=minimum, condition="examples")
        for i, (k, n) in enumerate(zip(counts, sizes, strict=True))
    ]


@pytest.mark.parametrize("rates", [(0.3, 0.3, 0.3, 0.3), (0.5, 0.3, 0.45, 0.4), (0.95, 0.99, 0.9, 0.97)])
def test_widest_gap_and_smallest_ratio_cover(rates: tuple[float, ...]) -> None:
    """Also where all rates are equal: the true gap 0 and ratio 1 are then inside, as they must be."""
    rng, runs = np.random.default_rng(0), 400
    p = np.array(rates)
    gap_covered = ratio_covered = 0
    for counts in rng.binomial(SIZES, p, size=(runs, 4)):
        widest = widest_gap([_values(counts)], 0.95)
        assert widest is not None
        gap_covered += widest.low <= np.ptp(p) + 1e-12 and np.ptp(p) <= widest.high
        triples = [(f"g{i}", int(k), int(n)) for i, (k, n) in enumerate(zip(counts, SIZES, strict=True))]
        smallest = smallest_of_ratios([triples], 0.95)
        assert smallest is not None
        ratio_covered += smallest.low <= p.min() / p.max() <= smallest.high + 1e-12
    assert gap_covered / runs >= 0.94
    assert ratio_covered / runs >= 0.94


def test_gaps_to_the_reference_hold_all_together() -> None:
    rng, runs, p = np.random.default_rng(1), 1500, np.array([0.2, 0.35, 0.3, 0.25])
    all_covered = 0
    for counts in rng.binomial(SIZES, p, size=(runs, 4)):
        gaps = gaps_to_reference(_values(counts), "g3", 0.95)
        assert [gap.group for gap in gaps] == ["g0", "g1", "g2"]
        all_covered += all(gap.low <= p[i] - p[3] <= gap.high for i, gap in enumerate(gaps))
    assert all_covered / runs >= 0.94


def test_two_groups_have_the_plain_newcombe_and_koopman_intervals() -> None:
    values = _values(np.array([30, 20]), np.array([60, 100]))
    [gap] = gaps_to_reference(values, "g1", 0.95)
    assert (gap.value, gap.low, gap.high) == pytest.approx((0.3, *newcombe(30, 60, 20, 100)))
    widest = widest_gap([values], 0.95)
    assert widest is not None
    assert (widest.value, widest.low, widest.high) == pytest.approx((gap.value, gap.low, gap.high))
    assert (widest.highest, widest.lowest) == ("g0", "g1")
    mirrored = widest_gap([values[::-1]], 0.95)
    assert mirrored is not None
    assert (mirrored.highest, mirrored.lowest) == ("g0", "g1")
    assert (mirrored.low, mirrored.high) == pytest.approx((widest.low, widest.high))
    smallest = smallest_of_ratios([[("g0", 30, 60), ("g1", 20, 100)]], 0.95)
    assert smallest is not None
    assert (smallest.low, smallest.high) == pytest.approx(ratio(20, 100, 30, 60))
    assert (smallest.highest, smallest.lowest) == ("g0", "g1")


def test_left_out_groups_decide_nothing() -> None:
    values = [
        *_values(np.array([50, 60]), np.array([100, 100])),
        proportion("tiny", 0, 4, minimum=30, condition="examples"),
        proportion("empty", 0, 0, minimum=30, condition="examples labelled positive"),
        proportion("unknown", 0, 500, minimum=30, condition="examples"),
    ]
    assert [value.left_out for value in values] == [
        None,
        None,
        "only 4 of 30 needed examples",
        "no examples labelled positive",
        "not recorded",
    ]
    assert values[3].value is None
    widest = widest_gap([values], 0.95)
    assert widest is not None
    assert widest.value == pytest.approx(0.1)
    assert gaps_to_reference(values, "tiny", 0.95) == []
    assert widest_gap([values[1:]], 0.95) is None
    assert widest_gap([values, values[1:]], 0.95) is None


def test_ratio_without_a_success_is_undefined() -> None:
    assert smallest_of_ratios([[("a", 0, 50), ("b", 0, 60)]], 0.95) is None
    assert smallest_of_ratios([[("a", 9, 50)]], 0.95) is None
    one = smallest_of_ratios([[("a", 0, 50), ("b", 20, 60)]], 0.95)
    assert one is not None
    assert (one.value, one.low) == (0, 0)


def test_macro_recall_of_one_class_is_a_proportion_and_needs_every_class() -> None:
    value = macro_recall("g", [7], [11], classes=["x"], minimum=1)
    assert value.value == pytest.approx(7 / 11)
    assert value.interval(0.9) == pytest.approx(wilson(7, 11, 0.9))
    absent = macro_recall("g", [7, 0], [11, 0], classes=["x", "y"], minimum=1)
    assert (absent.value, absent.left_out) == (None, "no examples of class y")


def test_area_counts_its_smaller_side() -> None:
    value = area("g", np.arange(12.0), np.arange(40.0), minimum=20, sides=("members", "non-members"))
    assert (value.n, value.left_out) == (12, "only 12 of 20 needed members")


def _shuffled(
    group: list[int], outcome: list[int], stratum: list[int]
) -> tuple[float, list[tuple[list[int], list[int]]]]:
    """The exact p by all orders of the group labels within strata, and the counts for the fast way."""

    def widest(order: list[int]) -> float:
        gaps = []
        for s in sorted(set(stratum)):
            rates = []
            for g in sorted(set(group)):
                mine = [o for a, o, t in zip(order, outcome, stratum, strict=True) if (a, t) == (g, s)]
                rates.append(sum(mine) / len(mine))
            gaps.append(max(rates) - min(rates))
        return max(gaps)

    seen = widest(group)
    inside = [[i for i, t in enumerate(stratum) if t == s] for s in sorted(set(stratum))]
    distributions = []
    for index in inside:
        orders = {tuple(order) for order in permutations([group[i] for i in index])}
        distributions.append(sorted(orders))
    hits = total = 0
    for first in distributions[0]:
        for second in distributions[1] if len(distributions) > 1 else [()]:
            order = list(group)
            for index, chosen in zip(inside, (first, second), strict=False):
                for i, g in zip(index, chosen, strict=True):
                    order[i] = g
            hits += widest(order) >= seen - 1e-12
            total += 1
    strata = []
    for s in sorted(set(stratum)):
        k, n = [], []
        for g in sorted(set(group)):
            mine = [o for a, o, t in zip(group, outcome, stratum, strict=True) if (a, t) == (g, s)]
            k.append(sum(mine))
            n.append(len(mine))
        strata.append((k, n))
    return hits / total, strata


@pytest.mark.parametrize(
    ("group", "outcome", "stratum"),
    [
        ([0, 0, 0, 0, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0, 1, 0], [0] * 8),
        ([0, 0, 0, 1, 1, 2, 2, 2], [1, 1, 1, 0, 0, 0, 1, 0], [0] * 8),
        ([0, 0, 1, 1, 1, 0, 0, 1, 1, 1], [1, 1, 0, 0, 1, 0, 1, 0, 0, 0], [0] * 5 + [1] * 5),
    ],
)
def test_permutation_agrees_with_all_orders(group: list[int], outcome: list[int], stratum: list[int]) -> None:
    exact, strata = _shuffled(group, outcome, stratum)
    drawn = permutation_p_value(strata, rng=np.random.default_rng(0), draws=20_000)
    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000) + 1e-4)


def test_two_groups_of_equal_size_have_fishers_p() -> None:
    p = permutation_p_value([([14, 6], [30, 30])], rng=np.random.default_rng(0), draws=40_000)
    assert p == pytest.approx(stats.fisher_exact([[14, 16], [6, 24]]).pvalue, abs=0.003)


def test_p_is_uniform_or_larger_under_the_null_and_small_for_a_planted_gap() -> None:
    rng, n = np.random.default_rng(2), [80, 150, 40]
    null, planted = [], []
    for _ in range(400):
        same, odd = rng.binomial(n, 0.4), rng.binomial(n, [0.4, 0.4, 0.8])
        null.append(permutation_p_value([(same.tolist(), n)], rng=rng, draws=199))
        planted.append(permutation_p_value([(odd.tolist(), n)], rng=rng, draws=199))
    assert stats.kstest(null, "uniform", alternative="greater").pvalue > 0.01
    assert np.mean(np.array(null) < 0.5) > 0.4
    assert np.mean(np.array(planted) <= 0.05) > 0.9


def test_gap_of_means_sees_what_adds_up_over_strata() -> None:
    """Ten classes with a small gap each: the mean shows it, at p = 1/(B + 1) the smallest there is."""
    strata = [([28, 20], [30, 30]) for _ in range(10)]
    rng = np.random.default_rng(0)
    assert permutation_p_value(strata, rng=rng, draws=999, statistic=gap_of_means) == 0.001
