"""Calibration: closed forms, scikit-learn, coverage of the interval, null distribution of the test."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import brier_score_loss

from raiaudit.audit.check import Check
from raiaudit.audit.ledger import Ledger
from raiaudit.audit.reliability.binning import bin_of, calibration_error
from raiaudit.audit.reliability.calibration import Calibration, CalibrationConfig
from raiaudit.audit.statistics.intervals import wilson

if TYPE_CHECKING:
    from raiaudit.audit.subject import Subject

Echo = Callable[..., "Subject"]
Run = Callable[..., Ledger]

CHECK = Calibration()
CONFIG = CalibrationConfig()


def test_it_is_a_check() -> None:
    assert isinstance(CHECK, Check)


def test_ece_of_a_planted_gap() -> None:
    """0.9 said and 6 of 10 right, 0.6 said and 30 of 40 right: (10 · 0.3 + 40 · 0.15) / 50 = 0.18."""
    confidence = np.repeat([0.9, 0.6], [10, 40])
    correct = np.concatenate([np.arange(10) < 6, np.arange(40) < 30])
    error = calibration_error(confidence, correct, bins=15, rng=np.random.default_rng(0))
    assert error.value == pytest.approx(0.18)
    assert 0 < error.low < 0.18 < error.high
    assert error.p_value < 0.05


def test_one_bin_is_the_gap_of_the_means() -> None:
    rng = np.random.default_rng(0)
    confidence, correct = rng.random(300), rng.random(300) < 0.4
    error = calibration_error(confidence, correct, bins=1, rng=rng)
    assert error.value == pytest.approx(abs(confidence.mean() - correct.mean()))


def test_bins_hold_their_lower_edge_and_certainty_is_in_the_last() -> None:
    assert bin_of(np.array([0.0, 0.0999, 0.1, 0.95, 1.0]), 10).tolist() == [0, 0, 1, 9, 9]


@pytest.mark.parametrize(("n", "gap"), [(200, 0.0), (500, 0.05), (500, 0.15)])
def test_interval_covers(n: int, gap: float) -> None:
    """The true binned error is `gap` when the accuracy is everywhere that much below the confidence."""
    rng, runs, covered = np.random.default_rng(n), 100, 0
    for _ in range(runs):
        confidence = np.clip(rng.beta(8, 1.2, n), gap, 1)
        correct = rng.random(n) < confidence - gap
        error = calibration_error(confidence, correct, bins=15, rng=rng, resamples=200)
        covered += error.low <= gap <= error.high
    assert covered / runs >= 0.93


def test_p_value_is_uniform_or_larger_under_perfect_calibration_and_small_otherwise() -> None:
    rng, n = np.random.default_rng(5), 150
    null: list[float] = []
    shifted: list[float] = []
    for _ in range(200):
        confidence = rng.uniform(0.5, 1, n)
        outcome = rng.random(n)
        for found, gap in ((null, 0.0), (shifted, 0.2)):
            error = calibration_error(confidence, outcome < confidence - gap, bins=10, rng=rng, resamples=99)
            found.append(error.p_value)
    assert stats.kstest(null, "uniform", alternative="greater").pvalue > 0.01
    assert np.mean(np.array(null) <= 0.1) < 0.1 + 3 * np.sqrt(0.09 / 200)
    assert np.mean(np.array(shifted) <= 0.05) > 0.9


def test_plug_in_of_a_calibrated_model_is_what_the_null_expects() -> None:
    rng, n = np.random.default_rng(6), 300
    plug_in, expected = [], []
    for _ in range(60):
        confidence = rng.uniform(0.5, 1, n)
        error = calibration_error(confidence, rng.random(n) < confidence, bins=15, rng=rng, resamples=100)
        plug_in.append(error.value)
        expected.append(error.expected_null)
    assert np.mean(plug_in) == pytest.approx(np.mean(expected), rel=0.08)
    assert min(plug_in) > 0


def _binary(n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    p = rng.uniform(0.02, 0.98, n)
    logits = np.stack([np.zeros(n), np.log(p / (1 - p))], axis=1)
    return logits.astype(np.float32), (rng.random(n) < p).astype(np.int64)


def test_check_measures_what_its_rows_say(make_echo: Echo, run_check: Run) -> None:
    logits, labels = _binary()
    subject = make_echo(logits, labels, classes=("no", "yes"))
    ledger = run_check(CHECK, subject, CONFIG)
    found = {m.metric: m for m in CHECK.summarise(ledger, subject, CONFIG)}
    p = 1 / (1 + np.exp(-logits[:, 1].astype(np.float64)))
    confidence, correct = np.maximum(p, 1 - p), (p > 0.5) == labels
    # The multiclass score counts both classes: twice the binary one.
    assert found["brier_score"].value == pytest.approx(2 * brier_score_loss(labels, p), rel=1e-5)
    assert found["overconfidence"].value == pytest.approx((confidence - correct).mean(), abs=1e-6)
    bins = np.minimum((confidence * 15).astype(int), 14)
    ece = sum(abs((confidence - correct)[bins == b].sum()) for b in range(15)) / len(p)
    assert found["ece"].value == pytest.approx(ece, abs=1e-6)
    assert "biased upwards" in (found["ece"].reason or "")
    p_value, floor = found["ece_p_value"].value, found["ece_if_calibrated"].value
    assert p_value is not None
    assert p_value > 0.01
    assert floor == pytest.approx(ece, rel=0.6)
    again = {m.metric: m for m in CHECK.summarise(ledger, subject, CONFIG)}
    assert again == found


def test_bins_table(make_echo: Echo, run_check: Run) -> None:
    logits, labels = _binary()
    subject = make_echo(logits, labels, classes=("no", "yes"))
    ledger = run_check(CHECK, subject, CONFIG)
    bins = CHECK.evidence(ledger, subject, CONFIG)["bins"]
    assert bins["n"].sum() == 600
    assert bins["bin_low"][0] == 0
    assert bins["bin_high"][-1] == 1
    assert bins.filter(n=0)["accuracy"].is_null().all()
    assert bins["n"][:7].to_list() == [0] * 7  # the highest of two probabilities is at least one half
    for row in bins.filter(bins["n"] > 0).iter_rows(named=True):
        assert row["bin_low"] <= row["confidence"] <= row["bin_high"]
        assert (row["low"], row["high"]) == wilson(round(row["accuracy"] * row["n"]), row["n"])
    [ece] = [m.value for m in CHECK.summarise(ledger, subject, CONFIG) if m.metric == "ece"]
    assert ((bins["accuracy"] - bins["confidence"]).abs() * bins["n"]).sum() / 600 == pytest.approx(ece)


def test_a_model_that_is_sure_and_right_is_calibrated(make_echo: Echo, run_check: Run) -> None:
    subject = make_echo(np.eye(2)[[0, 1] * 50] * 50, [0, 1] * 50, classes=("no", "yes"))
    found = {m.metric: m for m in CHECK.summarise(run_check(CHECK, subject, CONFIG), subject, CONFIG)}
    assert found["ece"].value == pytest.approx(0, abs=1e-12)
    assert found["ece_p_value"].value == 1


def test_one_example_is_no_crash(make_echo: Echo, run_check: Run) -> None:
    subject = make_echo([[0.0, 1.0]], [1], classes=("no", "yes"))
    found = {m.metric: m for m in CHECK.summarise(run_check(CHECK, subject, CONFIG), subject, CONFIG)}
    assert found["brier_score"].value is None
    assert found["ece"].high is not None
    assert found["ece"].high > 0.5
