"""RMIA and BASE against their definitions, pair by pair, and against peers' formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from raiaudit.attacks.inference import Signals, base, rmia
from raiaudit.attacks.inference.signals import Floats
from raiaudit.errors import UsageError


def world(seed: int, *, shadows: int = 6, examples: int = 300, population: int = 170) -> Signals:
    """Balanced design; φ of all sizes."""
    rng = np.random.default_rng(seed)
    keep_MN = np.argsort(rng.random((shadows, examples)), axis=0) < shadows // 2
    hardness_N, hardness_Z = rng.normal(0, 3, examples), rng.normal(0, 3, population)
    return Signals(
        rng.normal(hardness_N, 1),
        rng.normal(hardness_N + keep_MN, 1, (shadows, examples)),
        keep_MN,
        rng.normal(hardness_Z, 1),
        rng.normal(hardness_Z, 1, (shadows, population)),
    )


def mean_where(values_MN: Floats, chosen_MN: np.ndarray) -> Floats:
    return np.asarray((values_MN * chosen_MN).sum(0) / chosen_MN.sum(0))


def ratios(signals: Signals, *, online: bool, a: float) -> tuple[Floats, Floats]:
    """p(x | θ) / p(x) of the examples and of the population, from probabilities."""
    assert signals.population_phi_Z is not None
    assert signals.shadow_population_phi_MZ is not None
    p_MN, z_Z = expit(signals.shadow_phi_MN), expit(signals.shadow_population_phi_MZ).mean(0)
    out_N = mean_where(p_MN, ~signals.keep_MN)
    if online:
        mean_N = (mean_where(p_MN, signals.keep_MN) + out_N) / 2
    else:
        mean_N, z_Z = ((1 + a) * out_N + 1 - a) / 2, ((1 + a) * z_Z + 1 - a) / 2
    return expit(signals.phi_N) / mean_N, expit(signals.population_phi_Z) / z_Z


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize(("gamma", "a"), [(1.0, 0.3), (2.0, 1.0), (0.7, 0.0)])
def test_sorting_counts_what_all_pairs_count(online: bool, gamma: float, a: float) -> None:
    signals = world(1)
    ratio_N, ratio_Z = ratios(signals, online=online, a=a)
    pairs = (ratio_N[:, None] / ratio_Z[None] >= gamma).mean(1)
    found = rmia.score(signals, online=online, gamma=gamma, a=a)
    np.testing.assert_allclose(found, pairs, rtol=0, atol=1e-12)
    assert len(set(found)) > 20


def test_ties_with_the_population_count_as_beaten() -> None:
    ratio = np.log(np.array([0.5, 1.0, 1.0, 2.0]))
    np.testing.assert_array_equal(rmia.share_beaten(ratio, ratio, gamma=1.0), [0.25, 0.75, 0.75, 1.0])


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=40),
)
def test_counts_are_those_of_a_binary_search(values: list[float], others: list[float]) -> None:
    known, asked = np.sort(values), np.array([*others, *values])
    np.testing.assert_array_equal(rmia.at_most(known, asked), np.searchsorted(known, asked, side="right"))


@pytest.mark.parametrize("spread", [1.0, 1e-12, 1e9])
def test_counts_are_exact_where_most_values_share_a_cell(spread: float) -> None:
    rng = np.random.default_rng(5)
    known = np.sort(np.concatenate([rng.normal(size=2000) * spread, [-1e6, 1e6], np.repeat(0.25, 300)]))
    asked = np.concatenate([known, np.nextafter(known, np.inf), np.nextafter(known, -np.inf)])
    np.testing.assert_array_equal(rmia.at_most(known, asked), np.searchsorted(known, asked, side="right"))


def test_rmia_is_the_formula_of_privacy_meter() -> None:
    """Its `run_rmia`, re-stated: out-signals of half the reference models, p(x) from them, pairs > 1.

    It finds the out-signals by sorting signals with those of members set to 0, which takes the M/2 that
    are not 0 in a balanced design.
    """
    signals, a = world(2), 0.3
    assert signals.population_phi_Z is not None
    assert signals.shadow_population_phi_MZ is not None
    half = len(signals.keep_MN) // 2
    out_x = np.sort(expit(signals.shadow_phi_MN) * ~signals.keep_MN, axis=0)[::-1][:half].mean(0)
    # The population was out of every reference model; the mean over all of them is ours, and more exact.
    out_z = expit(signals.shadow_population_phi_MZ).mean(0)
    ratio_x = expit(signals.phi_N) / ((1 + a) / 2 * out_x + (1 - a) / 2)
    ratio_z = expit(signals.population_phi_Z) / ((1 + a) / 2 * out_z + (1 - a) / 2)
    theirs = np.average(ratio_x[:, None] / ratio_z > 1.0, axis=1)
    np.testing.assert_allclose(rmia.score(signals, online=False, gamma=1.0, a=a), theirs, atol=1e-12)


@pytest.mark.parametrize("online", [True, False])
def test_base_is_the_log_of_the_ratio_that_rmia_ranks(online: bool) -> None:
    signals = world(3)
    ratio_N, _ = ratios(signals, online=online, a=0.3)
    score = base.score(signals, online=online)
    np.testing.assert_allclose(score, np.log(ratio_N), rtol=1e-12, atol=1e-14)
    ranked = rmia.score(signals, online=online, a=0.3)[np.argsort(score)]
    assert bool((np.diff(ranked) >= 0).all())


def test_base_is_minus_loss_less_log_mean_exp_of_minus_losses() -> None:
    """arXiv:2505.24089; a balanced design, all shadows; offline those without the example."""
    signals = world(4)
    loss_N, loss_MN = np.log1p(np.exp(-signals.phi_N)), np.log1p(np.exp(-signals.shadow_phi_MN))
    np.testing.assert_allclose(base.score(signals), -loss_N - np.log(np.exp(-loss_MN).mean(0)), rtol=1e-11)
    without_N = np.log(mean_where(np.exp(-loss_MN), ~signals.keep_MN))
    np.testing.assert_allclose(base.score(signals, online=False, a=1.0), -loss_N - without_N, rtol=1e-11)


def test_ratios_keep_their_digits_where_probabilities_round() -> None:
    """All p are 1 but for e^−φ, or all are e^φ: the score is the difference of those."""
    keep = np.array([[True], [False]])
    sure = Signals(np.array([60.0]), np.array([[50.0], [55.0]]), keep)
    exact = (np.exp(-50.0) + np.exp(-55.0)) / 2 - np.exp(-60.0)
    np.testing.assert_allclose(base.score(sure), exact, rtol=1e-10)
    lost = Signals(np.array([-900.0]), np.array([[-1000.0], [-800.0]]), keep)
    np.testing.assert_allclose(base.score(lost), -900 + 800 + np.log(2), rtol=1e-12)


def test_an_unbalanced_design_weighs_both_sides_alike() -> None:
    keep = np.array([[True], [False], [False], [False]])
    signals = Signals(np.array([0.0]), np.array([[4.0], [-1.0], [-1.0], [-1.0]]), keep)
    mean = (expit(4.0) + expit(-1.0)) / 2
    np.testing.assert_allclose(base.score(signals), np.log(0.5 / mean), rtol=1e-12)


def test_impossible_settings_are_refused() -> None:
    signals = world(5, examples=10, population=5)
    with pytest.raises(UsageError, match="gamma above 0"):
        rmia.score(signals, gamma=0.0)
    with pytest.raises(UsageError, match=r"a must lie in \[0, 1\]"):
        base.score(signals, online=False, a=1.5)
    never_out = Signals(signals.phi_N, signals.shadow_phi_MN, np.ones_like(signals.keep_MN))
    with pytest.raises(UsageError, match="without example 0: 0"):
        base.score(never_out)
