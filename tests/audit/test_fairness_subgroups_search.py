"""False discoveries under the null, power on planted harm, and which groups are called the story.

Outcomes of people are drawn cell by cell, given the true rates; attributes are correlated.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import polars as pl
import pytest

from raiaudit.audit.fairness.subgroups.outcomes import ASKED, Halves
from raiaudit.audit.fairness.subgroups.search import Finding, Search, search

Rates = Callable[[pl.DataFrame], np.ndarray]
"""Cells → the probability of a right answer in each."""

ALPHA = 0.05
SEX, RACE, AGE = ("F", "M"), ("B", "W", "A"), ("y", "m", "o")
GROUPS = pl.DataFrame(list(product(SEX, RACE, AGE)), schema=("sex", "race", "age"), orient="row")
_FEMALE, _BLACK = (GROUPS["sex"] == "F").to_numpy(), (GROUPS["race"] == "B").to_numpy()
# Women are more often Black, the old more often white: as correlated as people are.
SHARES = np.where(_FEMALE & _BLACK, 2.5, 1.0) * np.where(
    (GROUPS["age"] == "o") & (GROUPS["race"] == "W"), 2, 1
)


def _drawn(right: np.ndarray, n: int, rng: np.random.Generator, shares: np.ndarray = SHARES) -> np.ndarray:
    """One half: outcomes (C, 5) of `n` people; half are labelled positive."""
    people = rng.multinomial(n, shares / shares.sum())
    positive = rng.binomial(people, 0.5)
    tp, tn = rng.binomial(positive, right), rng.binomial(people - positive, right)
    return np.stack([tp, people - positive - tn, positive - tp, tn, tp + tn], axis=1)


def _look(
    right: np.ndarray,
    n: int,
    rng: np.random.Generator,
    *,
    metrics: tuple[str, ...] = ASKED,
    groups: pl.DataFrame = GROUPS,
) -> Search:
    shares = SHARES if groups is GROUPS else np.ones(len(groups))
    halves = Halves(groups, *(_drawn(right, n, rng, shares) for _ in range(2)))
    return search(halves, metrics, depth=6, min_support=30, min_gap=0.0, alpha=ALPHA, correction="bh")


def _names(found: Search, findings: list[Finding]) -> set[str]:
    return {found.lattice.name(finding.subgroup) for finding in findings}


def _confirmed(found: Search) -> set[str]:
    return _names(found, [finding for finding in found.findings if finding.confirmed])


def _true_gaps(found: Search, right: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Accuracy of every subgroup less that of everyone else, in the population."""
    inside = np.array([found.lattice.members(s) for s in range(len(found.lattice))])
    return np.asarray(
        [
            np.average(right[mine], weights=shares[mine]) - np.average(right[~mine], weights=shares[~mine])
            for mine in inside
        ]
    )


def _at_most(share: float, draws: int) -> bool:
    return bool(share <= ALPHA + 3 * (ALPHA * (1 - ALPHA) / draws) ** 0.5)


def test_without_an_effect_little_is_suspected_and_less_confirmed() -> None:
    """The false discovery rate of the search is then the chance of any; cells have a dozen people."""
    rng, draws = np.random.default_rng(0), 200
    suspected = confirmed = 0
    for _ in range(draws):
        found = _look(np.full(18, 0.8), 400, rng, metrics=("accuracy", "true_positive_rate"))
        suspected += bool((found.log_q_SM <= np.log(ALPHA)).any())
        confirmed += bool(_confirmed(found))
    assert _at_most(suspected / draws, draws)
    assert confirmed <= 3  # had to pass both halves


def test_false_discovery_rate_among_true_ones() -> None:
    """Women are harmed; whatever is not truly worse than the rest is a false discovery of the search."""
    rng, draws = np.random.default_rng(1), 100
    right = np.where(_FEMALE, 0.72, 0.84)
    shares, found_true = [], 0
    for _ in range(draws):
        found = _look(right, 1500, rng, metrics=("accuracy",))
        hit = found.log_q_SM[:, 0] <= np.log(ALPHA)
        false = hit & (_true_gaps(found, right, SHARES) >= -1e-12)
        shares.append(false.sum() / max(1, hit.sum()))
        found_true += int((hit & ~false).sum())
    assert found_true > 3 * draws
    assert np.mean(shares) <= ALPHA + 3 * np.std(shares) / draws**0.5


def test_harmed_women_are_the_story_and_not_their_parts() -> None:
    """The family-wise error of the confirmation: beside sex=F only race=B may be confirmed, who are more
    often women and so truly worse off; no attribute that both name lets the one explain the other.
    """
    rng, draws = np.random.default_rng(2), 100
    right = np.where(_FEMALE, 0.72, 0.86)
    women, parts, others = 0, 0, 0
    for _ in range(draws):
        found = _look(right, 2500, rng, metrics=("accuracy",))
        confirmed = _confirmed(found)
        women += "sex=F" in confirmed
        others += bool(confirmed - {"sex=F", "race=B"})
        names = found.lattice.name
        parts += any(
            (names(s), names(by)) == ("sex=F & race=B", "sex=F") for s, by in found.explained_by[0].items()
        )
    assert women >= 0.97 * draws
    assert _at_most(others / draws, draws)
    assert parts >= 0.8 * draws


def test_harmed_black_women_are_the_story_and_not_women_or_black_people() -> None:
    rng, draws = np.random.default_rng(3), 40
    right = np.where(_FEMALE & _BLACK, 0.68, 0.86)
    exact, parents_explained = 0, 0
    for _ in range(draws):
        found = _look(right, 2500, rng, metrics=("accuracy",))
        exact += _confirmed(found) == {"sex=F & race=B"}
        explained = {found.lattice.name(s) for s in found.explained_by[0]}
        parents_explained += {"sex=F", "race=B"} <= explained
    assert exact >= 0.9 * draws
    assert parents_explained >= 0.9 * draws


def test_two_harms_of_different_attributes_do_not_explain_each_other() -> None:
    rng, both = np.random.default_rng(4), 0
    right = 0.9 - 0.1 * _FEMALE - 0.1 * _BLACK
    for _ in range(20):
        both += {"sex=F", "race=B"} <= _confirmed(_look(right, 4000, rng, metrics=("accuracy",)))
    assert both >= 16


def test_more_harm_within_a_harmed_group_is_a_finding_of_its_own() -> None:
    rng, both = np.random.default_rng(5), 0
    right = 0.9 - 0.1 * _FEMALE - 0.15 * (_FEMALE & _BLACK)
    for _ in range(20):
        both += {"sex=F", "sex=F & race=B"} <= _confirmed(_look(right, 4000, rng, metrics=("accuracy",)))
    assert both >= 16


def test_where_neither_way_is_better_the_other_side_of_a_gap_is_no_second_finding() -> None:
    """Selections of men and women differ: one finding, the smaller group, which explains the other sex."""
    rng = np.random.default_rng(6)
    halves = []
    for _ in range(2):
        people = rng.multinomial(2500, SHARES / SHARES.sum())
        selected = rng.binomial(people, np.where(_FEMALE, 0.3, 0.45))
        none = np.zeros(18, dtype=np.int64)
        halves.append(np.stack([none, selected, none, people - selected, none], axis=1))
    found = search(
        Halves(GROUPS, *halves),
        ("selection_rate",),
        depth=6,
        min_support=30,
        min_gap=0.0,
        alpha=ALPHA,
        correction="bh",
    )
    assert _confirmed(found) == {"sex=M"}
    assert "sex=F" in {found.lattice.name(s) for s in found.explained_by[0]}


def test_gaps_are_not_flattered_by_having_been_picked() -> None:
    """Twenty cities without any difference, a search that is easily content: its own gaps would show one."""
    rng, cities = np.random.default_rng(7), pl.DataFrame({"city": [f"{i:02d}" for i in range(20)]})
    picked, honest = [], []
    for _ in range(100):
        halves = Halves(cities, *(_drawn(np.full(20, 0.8), 2000, rng, np.ones(20)) for _ in range(2)))
        found = search(
            halves, ("accuracy",), depth=1, min_support=30, min_gap=0.0, alpha=0.6, correction="bh"
        )
        whole, confirm = found.whole, found.confirm
        for finding in found.findings:
            s = finding.subgroup
            right, n = (2 * w[s, 0] - 2 * c[s, 0] for w, c in zip(whole.group, confirm.group, strict=True))
            rest, m = (2 * w[s, 0] - 2 * c[s, 0] for w, c in zip(whole.rest, confirm.rest, strict=True))
            picked.append(right / n - rest / m)
            honest.append(confirm.gaps[s, 0])
    assert len(picked) > 50
    assert np.mean(picked) < -0.05
    assert abs(np.mean(honest)) < 3 * np.std(honest) / len(honest) ** 0.5


def test_intervals_of_confirmed_findings_are_wrong_at_most_as_often_as_stated() -> None:
    """The false coverage rate, over effects from none to large."""
    rng, cities = np.random.default_rng(8), pl.DataFrame({"city": [f"{i:02d}" for i in range(12)]})
    right = np.linspace(0.7, 0.85, 12)
    shares: list[float] = []
    for _ in range(100):
        found = _look(right, 3000, rng, metrics=("accuracy",), groups=cities)
        truth = _true_gaps(found, right, np.ones(12))
        limits = found.confirm.bounds(found.finding_confidence)
        confirmed = [f.subgroup for f in found.findings if f.confirmed]
        wrong = [not limits.low[s, 0] <= truth[s] <= limits.high[s, 0] for s in confirmed]
        shares.append(float(np.mean(wrong)) if wrong else 0.0)
    assert np.mean(shares) <= ALPHA + 3 * np.std(shares) / 100**0.5


@pytest.mark.parametrize(("min_gap", "expected"), [(0.05, {"sex=F"}), (0.3, set())])
def test_a_gap_that_is_too_small_to_matter_is_no_finding(min_gap: float, expected: set[str]) -> None:
    rng = np.random.default_rng(9)
    halves = Halves(GROUPS, *(_drawn(np.where(_FEMALE, 0.7, 0.86), 3000, rng) for _ in range(2)))
    found = search(
        halves, ("accuracy",), depth=1, min_support=30, min_gap=min_gap, alpha=ALPHA, correction="by"
    )
    assert _confirmed(found) == expected
