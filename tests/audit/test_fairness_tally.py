"""Tallies with weights, or with several rows a person: exact sums, valid intervals, the right bootstrap."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from raiaudit.audit.fairness.by_group.metrics import RATES, Confusion, Counts
from raiaudit.audit.fairness.by_group.support import group_values, supported
from raiaudit.audit.fairness.counting.tally import Tally
from raiaudit.audit.fairness.profiles.selection import selected as selected_by_rule

TWO = ("no", "yes")


def _rows(n: int = 600, seed: int = 0) -> pl.DataFrame:
    """Weights are eighths, so that sums of them are exact in floating point."""
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "sex": [("f", "m", None)[k] for k in rng.choice(3, n, p=[0.5, 0.4, 0.1])],
            "race": rng.choice(["a", "b"], n),
            "label": rng.integers(2, size=n),
            "predicted": rng.integers(2, size=n),
            "score": rng.random(n),
            "weight": rng.integers(1, 40, n) / 8,
            "cluster": rng.integers(n // 4, size=n),
        }
    )


def _tally(rows: pl.DataFrame | pl.LazyFrame, *attributes: str) -> Tally:
    return Tally.of(rows, attributes=attributes or ("sex", "race"), classes=TWO, positive=1)


def _same(a: Tally, b: Tally) -> bool:
    pairs = ((a.table, b.table), (a.scores, b.scores), (a.clusters, b.clusters))
    return all(
        (x is None and y is None) or (x is not None and y is not None and x.equals(y)) for x, y in pairs
    )


def true_positive_rate(counts: Any) -> Counts:
    return RATES["true_positive_rate"].counts(Confusion.of(counts, 1))


def selected(counts: Any) -> Counts:
    return RATES["selection_rate"].counts(Confusion.of(counts, 1))


@pytest.mark.parametrize("without", [(), ("weight",), ("cluster",), ("weight", "cluster", "score")])
def test_shards_add_to_the_whole_in_any_order_of_rows(without: tuple[str, ...]) -> None:
    """Also where a cluster has rows in several shards: its counts are kept under its own name."""
    rows = _rows().drop(without)
    whole = _tally(rows)
    shuffled = rows.sample(fraction=1, shuffle=True, seed=3)
    parts = [_tally(shuffled[start : start + 97].lazy()) for start in range(0, 600, 97)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    assert _same(total, whole)
    assert total.total == 600


def test_what_differs_does_not_add() -> None:
    rows = _rows(50)
    for other in (rows.drop("weight"), rows.drop("cluster"), rows.drop("score")):
        with pytest.raises(ValueError, match="do not add"):
            _tally(rows) + _tally(other)


def test_intersections_of_names_with_ampersands_are_kept_apart() -> None:
    """“A & B” with C is another group than A with “B & C”; a lone attribute keeps its names."""
    rows = pl.DataFrame(
        {
            "sex": ["A & B", "A", "A"],
            "race": ["C", "B & C", "C"],
            "label": [0, 0, 1],
            "predicted": [1, 0, 1],
            "cluster": ["p", "q", "r"],
        }
    )
    tally = _tally(rows)
    joint = tally.cells("sex", "race").margin("group").table("both")
    assert dict(joint.select("group", "n").iter_rows()) == {"A & C": 1, "A & “B & C”": 1, "“A & B” & C": 1}
    assert tally.cells("sex").axes[0].levels == ("A", "A & B")
    assert selected_by_rule(tally, ("sex", "race"), 1).n == (1, 1, 1)
    sample = tally.sample("sex", "race")
    assert sample.clusters is not None
    assert sample.clusters.counts_R.sum() == sample.cells.counts.sum() == 3


def test_weighted_cells_by_hand() -> None:
    rows = _rows()
    cells = _tally(rows).cells("sex")
    assert cells.axes[0].levels == ("f", "m", "unknown")
    assert cells.weights is not None
    assert cells.squares is not None
    mine = rows.filter(pl.col("sex").is_null(), label=1, predicted=0)
    assert cells.counts[2, 1, 0] == mine.height
    assert cells.weights[2, 1, 0] == mine["weight"].sum()
    assert cells.squares[2, 1, 0] == (mine["weight"] ** 2).sum()
    margin = cells.margin("group")
    assert margin.weights is not None
    assert margin.weights.sum() == rows["weight"].sum()
    doubled = cells + cells
    assert doubled.squares is not None
    assert (doubled.squares == 2 * cells.squares).all()


@pytest.mark.parametrize("bad", [-1.0, None, float("nan"), float("inf")])
def test_weights_that_are_none_are_refused(bad: float | None) -> None:
    rows = _rows(20).with_columns(weight=pl.when(pl.int_range(20) == 7).then(bad).otherwise(pl.col("weight")))
    with pytest.raises(ValueError, match="a weight is a number of at least 0"):
        _tally(rows)


def test_a_missing_cluster_is_refused() -> None:
    rows = _rows(20).with_columns(
        cluster=pl.when(pl.int_range(20) < 2).then(None).otherwise(pl.col("cluster"))
    )
    with pytest.raises(ValueError, match="2 rows belong to no cluster"):
        _tally(rows)


def test_weight_one_and_clusters_of_one_are_the_plain_tally() -> None:
    rows = _rows().drop("weight", "cluster")
    plain = supported(_tally(rows).sample("race"), true_positive_rate)
    ones = supported(_tally(rows.with_columns(weight=2.0)).sample("race"), true_positive_rate)
    alone = supported(_tally(rows.with_columns(cluster=pl.int_range(600))).sample("race"), true_positive_rate)
    for other in (ones, alone):
        rate, expected = other.successes_G / other.trials_G, plain.successes_G / plain.trials_G
        assert rate.tolist() == pytest.approx(expected.tolist())
        assert other.trials_G.tolist() == pytest.approx(plain.trials_G.tolist(), rel=0.01)
    assert plain.n_G.tolist() == ones.n_G.tolist() == alone.n_G.tolist()


def _coverage(rows: pl.DataFrame, truth: float) -> float:
    """The share of groups, each a sample of its own, whose interval holds the truth."""
    values = group_values(_tally(rows, "g").sample("g"), selected, minimum=1, condition="examples")
    limits = [value.interval(0.95) for value in values]
    return float(np.mean([low <= truth <= high for low, high in limits]))


@pytest.mark.parametrize(("chances", "truth"), [((0.3, 0.3, 0.3), 0.3), ((0.05, 0.05, 0.45), 2.7625 / 7.25)])
def test_weighted_intervals_cover(chances: tuple[float, ...], truth: float) -> None:
    """Also where who is selected goes with the weight, which Kish's number alone does not see."""
    rng, samples, n = np.random.default_rng(0), 1000, 200
    kind = rng.integers(3, size=samples * n)
    rows = pl.DataFrame(
        {
            "g": np.repeat(np.arange(samples), n),
            "label": 0,
            "predicted": (rng.random(samples * n) < np.array(chances)[kind]).astype(int),
            "weight": np.array([0.25, 1.0, 6.0])[kind],
        }
    )
    assert _coverage(rows, truth) == pytest.approx(0.955, abs=0.025)
    if len(set(chances)) > 1:
        assert _coverage(rows.drop("weight"), truth) < 0.5


@pytest.mark.parametrize("people", [12, 80])
def test_intervals_of_repeated_people_cover(people: int) -> None:
    """Four to nineteen rows a person, and people differ: independent rows would cover far too seldom."""
    rng, samples = np.random.default_rng(1), 600
    sizes = rng.integers(4, 20, people * samples)
    cluster = np.repeat(np.arange(people * samples), sizes)
    chance = np.repeat(rng.beta(2, 3, people * samples), sizes)
    rows = pl.DataFrame(
        {
            "g": cluster // people,
            "label": 0,
            "predicted": (rng.random(len(cluster)) < chance).astype(int),
            "cluster": cluster,
        }
    )
    assert _coverage(rows, 0.4) == pytest.approx(0.95, abs=0.027)
    assert _coverage(rows.drop("cluster"), 0.4) < 0.85


def test_the_cluster_bootstrap_is_that_of_the_clusters() -> None:
    """Kolmogorov–Smirnov against drawing the people themselves; they have rows in both groups."""
    rows = _rows(240, seed=5).drop("weight")
    sample = _tally(rows, "race").sample("race")
    ours = sample.resample(np.random.default_rng(0), 2000)
    assert sample.clusters is not None
    held = sample.clusters
    whole = np.zeros((held.number, *ours.shape[1:]))
    np.add.at(whole, (held.cluster_R, held.group_R), held.counts_R)
    assert whole.sum(0).tolist() == sample.cells.counts.tolist()
    drawn = np.random.default_rng(1).integers(held.number, size=(2000, held.number))
    theirs = np.stack([whole[index].sum(0) for index in drawn])

    def gap(counts: np.ndarray) -> np.ndarray:
        rate = np.divide(*selected(counts))
        return np.asarray(rate[:, 0] - rate[:, 1])

    assert stats.ks_2samp(gap(ours), gap(theirs)).pvalue > 0.01
    assert ours.sum((1, 2, 3)).std() == pytest.approx(theirs.sum((1, 2, 3)).std(), rel=0.1)


def test_the_weighted_bootstrap_has_the_variance_of_the_rows() -> None:
    rows = _rows(300, seed=6).drop("cluster").with_columns(weight=pl.col("label") * 3 + 1.0)
    ours = _tally(rows, "race").sample("race").resample(np.random.default_rng(0), 3000)
    rng = np.random.default_rng(1)
    times = rng.poisson(1.0, (3000, 300)) * rows["weight"].to_numpy()
    code = rows.select(pl.col("race").rank("dense") * 4 + pl.col("label") * 2 + pl.col("predicted") - 4)
    theirs = np.stack([np.bincount(code.to_series().to_numpy(), t, 8) for t in times]).reshape(-1, 2, 2, 2)
    ratio = [np.divide(*selected(counts))[:, 0] for counts in (ours, theirs)]
    assert stats.ks_2samp(*ratio).pvalue > 0.01


def test_no_labels_are_no_error() -> None:
    rows = _rows(90).with_columns(label=pl.lit(None, dtype=pl.Int64)).drop("cluster")
    tally = _tally(rows)
    assert not tally.labelled
    assert tally.sample("sex").cells.counts.shape == (3, 2)
    clustered = _tally(rows.with_columns(cluster=pl.int_range(90) // 3))
    held = clustered.sample("sex").clusters
    assert held is not None
    assert held.counts_R.sum() == pytest.approx(rows["weight"].sum())
