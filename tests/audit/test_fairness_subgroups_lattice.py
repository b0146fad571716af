"""Subgroups by brute force over rows, and what the lattice leaves out."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import polars as pl
import pytest

from raiaudit.audit.fairness.counting.tally import Tally
from raiaudit.audit.fairness.subgroups.lattice import ANY, Lattice, require_few
from raiaudit.audit.fairness.subgroups.outcomes import ASKED, BETTER, answerable, halves_of, rates
from raiaudit.errors import UsageError

SEX, RACE, AGE = ("F", "M"), ("a", "b", "c"), ("y", "o", None)
NAMES = ("sex", "race", "age")


def _people(n: int, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "sex": rng.choice(SEX, n),
            "race": rng.choice(RACE, n, p=[0.7, 0.2, 0.1]),
            "age": pl.Series([AGE[i] for i in rng.integers(3, size=n)], dtype=pl.String),
            "label": rng.integers(2, size=n),
            "predicted": rng.integers(2, size=n),
        }
    )


def _cells(rows: pl.DataFrame, *names: str) -> tuple[pl.DataFrame, np.ndarray]:
    levels = rows.select(pl.col(names).fill_null("unknown"))
    counted = levels.group_by(names).agg(n=pl.len()).sort(names)
    return counted.select(names), counted["n"].to_numpy().astype(np.int64)


def test_every_subgroup_in_every_metric_is_a_count_of_rows() -> None:
    rows = _people(1200)
    tally = Tally.of(rows, attributes=NAMES, classes=("no", "yes"), positive=1)
    halves = halves_of(tally, NAMES, np.random.default_rng(0))
    lattice = Lattice.of(halves.groups, halves.everyone[:, :4].sum(axis=1))
    counts = rates(lattice.counts(halves.everyone), tuple(BETTER))
    y, p = rows["label"], rows["predicted"]
    events = {
        "accuracy": (y == p, y == y),
        "selection_rate": (p == 1, y == y),
        "true_positive_rate": (p == 1, y == 1),
        "false_positive_rate": (p == 1, y == 0),
        "true_negative_rate": (p == 0, y == 0),
        "false_negative_rate": (p == 0, y == 1),
        "positive_predictive_value": (y == 1, p == 1),
        "negative_predictive_value": (y == 0, p == 0),
    }
    seen = set()
    for size in (1, 2, 3):
        for chosen in combinations(range(3), size):
            for levels in product(*((SEX, RACE, AGE[:2])[a] for a in chosen)):
                name = " & ".join(f"{NAMES[a]}={level}" for a, level in zip(chosen, levels, strict=True))
                inside = pl.Series([True] * 1200)
                for a, level in zip(chosen, levels, strict=True):
                    inside &= (rows[NAMES[a]] == level).fill_null(value=False)
                [at] = [s for s in range(len(lattice)) if lattice.name(s) == name]
                assert lattice.people_S[at] == inside.sum()
                assert lattice.depths[at] == size
                for m, metric in enumerate(BETTER):
                    event, condition = events[metric]
                    assert counts.trials[at, m] == (inside & condition).sum()
                    assert counts.successes[at, m] == (inside & condition & event).sum()
                seen.add(at)
    assert seen == set(range(len(lattice)))  # and no other: nobody is "unknown" by name


def test_depth_and_support_leave_out_what_they_say() -> None:
    groups, people = _cells(_people(400), *NAMES)
    whole = Lattice.of(groups, people)
    names = [whole.name(s) for s in range(len(whole))]
    shallow = Lattice.of(groups, people, depth=2)
    assert [shallow.name(s) for s in range(len(shallow))] == [
        name for name, depth in zip(names, whole.depths, strict=True) if depth <= 2
    ]
    large = Lattice.of(groups, people, min_support=40)
    kept = (whole.people_S >= 40) | (whole.depths == 1)
    assert [large.name(s) for s in range(len(large))] == [n for n, k in zip(names, kept, strict=True) if k]
    assert 0 < large.too_few <= (~kept).sum()


def test_the_same_people_are_one_subgroup_and_everyone_is_none() -> None:
    rows = pl.DataFrame(
        {"sex": ["F"] * 3 + ["M"] * 3, "pregnant": ["y", "n", "n"] + ["n"] * 3, "here": ["x"] * 6}
    )
    lattice = Lattice.of(*_cells(rows, "sex", "pregnant", "here"))
    assert [lattice.name(s) for s in range(len(lattice))] == [
        "sex=F",
        "sex=M",
        "pregnant=n",
        "pregnant=y",
        "sex=F & pregnant=n",
    ]
    assert lattice.same_people == 15 - 5  # of 15 that occur; `here=x` is everyone
    constant = Lattice.of(*_cells(pl.DataFrame({"a": ["x"] * 5, "b": ["z"] * 5}), "a", "b"))
    assert len(constant) == 0


def test_members_are_the_cells_that_are_counted() -> None:
    groups, people = _cells(_people(300, seed=1), *NAMES)
    lattice = Lattice.of(groups, people)
    for s in range(len(lattice)):
        assert people[lattice.members(s)].sum() == lattice.people_S[s]
    assert (lattice.levels_SA[: lattice.depths.argmax()] == ANY).any()


def test_six_attributes_and_not_seven() -> None:
    rng = np.random.default_rng(2)
    rows = pl.DataFrame({f"a{i}": rng.choice(["x", "y"], 4000) for i in range(6)})
    assert len(Lattice.of(*_cells(rows, *rows.columns))) == 3**6 - 1
    with pytest.raises(UsageError, match="7 attributes") as caught:
        require_few([f"a{i}" for i in range(7)], where="fairness.subgroups columns")
    assert "a0, a1" in (caught.value.remedy or "")


def test_ten_thousand_levels() -> None:
    """Only the levels with support are combined; each is there by itself."""
    rng = np.random.default_rng(3)
    city = np.where(rng.random(60_000) < 0.5, 0, rng.integers(10_000, size=60_000))
    rows = pl.DataFrame({"city": city.astype(str), "sex": rng.choice(SEX, 60_000)})
    lattice = Lattice.of(*_cells(rows, "city", "sex"), min_support=30)
    singles = int((lattice.depths == 1).sum())
    assert singles == rows["city"].n_unique() + 2
    assert {lattice.name(s) for s in range(singles, len(lattice))} == {"city=0 & sex=F", "city=0 & sex=M"}


def test_the_halves_are_those_of_dealt_rows() -> None:
    """Of 40 alike people the first half gets Binomial(40, ½); the halves add up, and are not copies."""
    rows = pl.DataFrame({"g": ["a"] * 40 + ["b"] * 60, "label": [1] * 100, "predicted": [1] * 100})
    tally = Tally.of(rows, attributes=["g"], classes=("no", "yes"), positive=1)
    rng = np.random.default_rng(4)
    drawn = []
    for _ in range(500):
        halves = halves_of(tally, ["g"], rng)
        assert halves.everyone[:, 0].tolist() == [40, 60]
        drawn.append(halves.search_CO[:, 0])
    first = np.array(drawn)
    dealt = rng.random((500, 40)) < 0.5
    assert abs(first[:, 0].mean() - 20) < 4 * (10 / 500) ** 0.5
    assert first[:, 0].var() == pytest.approx(dealt.sum(axis=1).var(), rel=0.2)
    assert abs(float(((first[:, 0] - 20) * (first[:, 1] - 30)).mean())) < 0.1 * (10 * 15) ** 0.5


def test_attributes_of_a_tally_may_be_left_out() -> None:
    rows = _people(200)
    tally = Tally.of(rows, attributes=NAMES, classes=("no", "yes"), positive=1)
    halves = halves_of(tally, ["race"], np.random.default_rng(0))
    assert halves.groups.columns == ["race"]
    assert halves.everyone[:, :4].sum() == 200


def test_what_a_tally_without_labels_or_classes_can_answer() -> None:
    rows = _people(100)

    def tally(frame: pl.DataFrame, positive: int | None) -> Tally:
        return Tally.of(frame, attributes=NAMES, classes=("no", "yes"), positive=positive)

    blind = rows.with_columns(label=pl.lit(None, dtype=pl.Int64))
    assert answerable(tally(rows, 1), ASKED) == ASKED
    assert answerable(tally(rows, None), ASKED) == ("accuracy",)
    assert answerable(tally(blind, 1), ASKED) == ("selection_rate",)
    assert answerable(tally(blind, None), ASKED) == ()
    halves = halves_of(tally(blind, 1), ["sex"], np.random.default_rng(0))
    [selected], [people] = rates(halves.everyone.sum(axis=0, keepdims=True), ["selection_rate"])
    assert (selected[0], people[0]) == (rows["predicted"].sum(), 100)
