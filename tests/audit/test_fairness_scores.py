"""Scores by group from their histogram: AUC, calibration bias and error; by the rows, and by coverage."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from raiaudit.audit.fairness.by_group.attribute import measure_scores, reporter
from raiaudit.audit.fairness.by_group.scores import scores_by_group
from raiaudit.audit.fairness.counting.tally import BINS, Tally
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.statistics.intervals import auc_delong, wilson


def _tally(rows: pl.DataFrame) -> Tally:
    return Tally.of(rows, attributes=["g"], classes=("no", "yes"), positive=1)


def _rows(group: np.ndarray, score: np.ndarray, label: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({"g": group, "label": label, "predicted": (score > 0.5).astype(int), "score": score})


def _measured(rows: pl.DataFrame, minimum: int = 30) -> list[Measurement]:
    tally = _tally(rows)
    report = reporter(tally, "g", check="c", confidence=0.95, seed=0, permutations=99)
    return measure_scores(tally, report, minimum)


def _find(measured: list[Measurement], metric: str, group: str | None = None) -> Measurement:
    [found] = [m for m in measured if m.metric == metric and m.where.get("group") == group]
    return found


def test_auc_is_delong_of_the_binned_rows() -> None:
    rng = np.random.default_rng(0)
    group, score = rng.choice(["a", "b"], 700), rng.random(700)
    label = (rng.random(700) < score).astype(int)
    measured = _measured(_rows(group, score, label))
    binned = np.floor(score * BINS)
    for name in ("a", "b"):
        mine = group == name
        expected = auc_delong(binned[mine & (label == 1)], binned[mine & (label == 0)])
        found = _find(measured, "auc", name)
        assert (found.value, found.low, found.high) == pytest.approx(tuple(expected), abs=1e-12)
        bias = _find(measured, "calibration_bias", name)
        assert bias.value == pytest.approx((score - label)[mine].mean(), abs=1 / BINS)


@pytest.mark.parametrize("columns", [(), ("weight",), ("cluster",)])
def test_calibration_bias_covers(columns: tuple[str, ...]) -> None:
    """A thousand groups that are each 0.1 over-confident; weights and households (of five, who agree)."""
    rng, samples, n = np.random.default_rng(1), 800, 150
    household = np.arange(samples * n) // 5
    chance = rng.random(household.max() + 1)[household] * 0.8
    shared = rng.random(household.max() + 1)[household]
    label = ((shared if "cluster" in columns else rng.random(samples * n)) < chance).astype(int)
    rows = _rows(np.repeat(np.arange(samples), n), chance + 0.1, label).with_columns(
        weight=pl.Series(rng.choice([0.5, 3.0], samples * n)), cluster=pl.Series(household)
    )
    kept = rows.select("g", "label", "predicted", "score", *columns)
    measured = _measured(kept)
    values = [m for m in measured if m.metric == "calibration_bias"]
    covered = np.mean([m.low <= 0.1 <= m.high for m in values if m.low is not None and m.high is not None])
    assert len(values) == samples
    assert covered == pytest.approx(0.95, abs=0.025)


def test_calibration_error_covers_a_planted_one_and_zero() -> None:
    rng, samples, n = np.random.default_rng(2), 100, 400
    group, score = np.repeat(np.arange(samples), n), rng.random(samples * n)
    perfect = _measured(_rows(group, score, (rng.random(samples * n) < score).astype(int)))
    lows = [m.low for m in perfect if m.metric == "calibration_error"]
    assert len(lows) == 100
    assert np.mean([low == 0 for low in lows]) >= 0.95
    # Scores of 1/4 and 3/4 where half are positive: 0.25 off everywhere.
    score = rng.choice([0.251, 0.749], samples * n)
    flat = _measured(_rows(group, score, rng.integers(2, size=samples * n)))
    values = [m for m in flat if m.metric == "calibration_error"]
    covered = [m.low <= 0.249 <= m.high for m in values if m.low is not None and m.high is not None]
    assert np.mean(covered) >= 0.93
    assert np.mean([m.low or 0 for m in values]) > 0.1


def test_labels_all_alike_leave_the_width_of_what_was_not_seen() -> None:
    score = np.full(60, 0.5 / BINS)
    measured = _measured(_rows(np.repeat(["a", "b"], 30), score, np.zeros(60, dtype=int)))
    found = _find(measured, "calibration_bias", "a")
    assert found.value == pytest.approx(score[0])
    assert found.low == pytest.approx(score[0] - wilson(0, 30).high)


def test_one_side_alone_is_undefined_and_small_groups_are_not_compared() -> None:
    group = np.repeat(["a", "b", "tiny", "one"], [100, 100, 5, 1])
    label = np.concatenate([np.arange(200) % 2, [1, 1, 0, 1, 0], [1]])
    measured = _measured(_rows(group, np.linspace(0, 1, 206), label))
    assert _find(measured, "auc", "one").reason == "no examples labelled negative"
    reason = _find(measured, "auc_difference").reason or ""
    assert "tiny: only 2 of 30 needed examples labelled negative" in reason
    alone = _find(measured, "calibration_bias", "one")
    assert (alone.low, alone.high, alone.reason) == (-1, 1, "only 1 of 30 needed scored examples")


def test_no_scores_or_no_labels_are_said() -> None:
    rows = _rows(np.repeat(["a", "b"], 40), np.linspace(0, 1, 80), np.arange(80) % 2)
    [found, _] = _measured(rows.drop("score"))
    assert (found.value, found.reason) == (None, "no scores were given")
    [found, _] = _measured(rows.with_columns(label=pl.lit(None, dtype=pl.Int64)))
    assert (found.value, found.reason) == (None, "the examples have no labels")


def test_people_with_several_rows_widen_the_auc() -> None:
    rng = np.random.default_rng(3)
    group, score = np.repeat(["a", "b"], 200), rng.random(400)
    rows = _rows(group, score, (rng.random(400) < score).astype(int))
    fourfold = pl.concat([rows.with_columns(cluster=pl.int_range(400))] * 4)
    plain, repeated = (
        next(scores for scores in scores_by_group(_tally(each), "g") if scores.group == "a")
        for each in (rows, fourfold)
    )
    assert repeated.positives == 4 * plain.positives
    once, again = _find(_measured(rows), "auc", "a"), _find(_measured(fourfold), "auc", "a")
    assert (again.value, again.low, again.high) == pytest.approx((once.value, once.low, once.high), abs=3e-3)
