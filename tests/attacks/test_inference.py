"""Every membership score on planted and on empty worlds; LiRA against exact likelihood ratios."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from raiaudit.attacks.inference import INFERENCE, Signals, Uncertainty, lira, phi, thresholds, uncertainty
from raiaudit.attacks.inference.moments import Moments
from raiaudit.attacks.inference.signals import Floats
from raiaudit.errors import UsageError


def auc(score_N: Floats, member_N: np.ndarray) -> float:
    """Probability that a member outranks a non-member."""
    statistic = stats.mannwhitneyu(score_N[member_N], score_N[~member_N]).statistic
    return float(statistic / (member_N.sum() * (~member_N).sum()))


def gaussian_world(
    examples: int, shadows: int, *, seed: int, spread: float = 1.0, equal: bool = True
) -> tuple[Signals, np.ndarray, Floats]:
    """φ ~ N(μ_i + 1.5·member, σ²) with its own μ_i for each example: (signals, members, exact log ratio)."""
    rng = np.random.default_rng(seed)
    hardness_N = rng.normal(0, 4, examples)
    gain_N = np.full(examples, 1.5)
    sigma_N = np.full(examples, spread) if equal else rng.uniform(0.3, 3, examples)
    keep_MN = np.argsort(rng.random((shadows, examples)), axis=0) < shadows // 2
    member_N = rng.random(examples) < 0.5

    def draw(member: np.ndarray) -> Floats:
        noise = rng.normal(0, 1, member.shape)
        return np.asarray(hardness_N + gain_N * member + sigma_N * noise)

    shadow_MN, phi_N = draw(keep_MN), draw(member_N)
    exact_N = stats.norm.logpdf(phi_N, hardness_N + gain_N, sigma_N) - stats.norm.logpdf(
        phi_N, hardness_N, sigma_N
    )
    return Signals(phi_N, shadow_MN, keep_MN), member_N, exact_N


def test_phi_is_the_logit_of_the_probability() -> None:
    rng = np.random.default_rng(0)
    logits, y = rng.normal(size=(50, 4)), rng.integers(0, 4, 50)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    p_y = p[np.arange(50), y]
    np.testing.assert_allclose(phi(logits, y), np.log(p_y / (1 - p_y)), rtol=1e-10)
    np.testing.assert_allclose(Signals.of_target(phi(logits, y)).loss, -np.log(p_y), rtol=1e-10)


def test_phi_keeps_its_digits_where_probabilities_round() -> None:
    logits = np.array([[900.0, 0.0], [0.0, 900.0], [1e4, 0.0]], dtype=np.float32)
    np.testing.assert_array_equal(phi(logits, np.array([0, 0, 0])), [900.0, -900.0, 1e4])


def test_the_loss_has_the_closed_form_auc() -> None:
    rng = np.random.default_rng(1)
    member = np.arange(20000) < 10000
    signals = Signals.of_target(rng.normal(np.where(member, 1.0, 0.0), 1.0))
    # P(N(1,1) > N(0,1)) = Φ(1/√2); 10,000 against 10,000 has a standard error of about 0.003.
    assert auc(thresholds.loss(signals), member) == pytest.approx(stats.norm.cdf(1 / np.sqrt(2)), abs=0.012)


@pytest.mark.parametrize("equal", [True, False])
def test_online_lira_converges_to_the_exact_ratio(equal: bool) -> None:
    signals, _, exact = gaussian_world(200, 4000, seed=2, equal=equal)
    score = lira.score(signals, variance="fixed" if equal else "per_example")
    assert np.corrcoef(score, exact)[0, 1] > 0.995
    assert np.median(np.abs(score - exact)) < 0.15


def test_few_shadows_share_their_variance() -> None:
    signals, member, exact = gaussian_world(4000, 8, seed=3)
    np.testing.assert_array_equal(lira.score(signals), lira.score(signals, variance="fixed"))
    shared, own = auc(lira.score(signals), member), auc(lira.score(signals, variance="per_example"), member)
    assert own < shared <= auc(exact, member) + 0.01
    many, _, _ = gaussian_world(20, lira.FEW_SHADOWS, seed=3)
    np.testing.assert_array_equal(lira.score(many), lira.score(many, variance="per_example"))


def test_lira_beats_the_loss_where_hardness_varies() -> None:
    signals, member, exact = gaussian_world(4000, 16, seed=4)
    loss, online, offline = (
        auc(INFERENCE[name](signals), member) for name in ("loss", "lira", "lira_offline")
    )
    assert loss < 0.65
    assert online > 0.8
    assert offline > 0.8
    assert online <= auc(exact, member) + 0.01


def test_offline_is_the_tail_of_the_out_distribution() -> None:
    signals, _, _ = gaussian_world(300, 4000, seed=5)
    rng = np.random.default_rng(5)
    mean_N = rng.normal(0, 4, 300)  # the world's own first draw
    expected = -stats.norm.logsf(signals.phi_N, mean_N, 1.0)
    score = lira.score(signals, online=False)
    assert np.corrcoef(score, expected)[0, 1] > 0.995


def test_offline_never_saturates() -> None:
    shadow = np.random.default_rng(0).normal(size=(10, 4))
    signals = Signals(np.array([10.0, 30.0, 60.0, 200.0]), shadow, np.zeros((10, 4), dtype=bool))
    score = lira.score(signals, online=False)
    assert bool(np.isfinite(score).all())
    assert bool((np.diff(score) > 1).all())


def full_world(examples: int, shadows: int, *, seed: int, gain: float = 1.5) -> tuple[Signals, np.ndarray]:
    """Every signal there is: members' φ is larger by `gain`; a population, and logits of six classes."""
    rng = np.random.default_rng(seed)
    keep_MN = np.argsort(rng.random((shadows, examples)), axis=0) < shadows // 2
    member_N = rng.random(examples) < 0.5
    hardness_N, hardness_Z = rng.normal(3, 2, examples), rng.normal(3, 2, examples // 4)
    phi_N = hardness_N + gain * member_N + rng.normal(0, 1, examples)
    others_NK, y_N = rng.normal(0, 1, (examples, 6)), rng.integers(0, 6, examples)
    rows = np.arange(examples)
    others_NK[rows, y_N] = -np.inf
    logits_NK = others_NK.copy()
    logits_NK[rows, y_N] = phi_N + np.log(np.exp(others_NK).sum(1))
    signals = Signals(
        phi_N,
        hardness_N + gain * keep_MN + rng.normal(0, 1, keep_MN.shape),
        keep_MN,
        hardness_Z + rng.normal(0, 1, len(hardness_Z)),
        hardness_Z + rng.normal(0, 1, (shadows, len(hardness_Z))),
        uncertainty(logits_NK, y_N),
    )
    return signals, member_N


@pytest.mark.parametrize("name", INFERENCE)
def test_members_score_higher_where_they_were_planted(name: str) -> None:
    signals, member = full_world(4000, 8, seed=6)
    score = INFERENCE[name](signals)
    assert score.dtype == np.float64
    assert bool(np.isfinite(score).all())
    assert auc(score, member) > 0.6


@pytest.mark.parametrize("name", INFERENCE)
def test_a_world_without_leak_gives_chance(name: str) -> None:
    signals, member = full_world(4000, 8, seed=7, gain=0.0)
    # The standard error of the area is 0.009 for 2,000 against 2,000.
    assert auc(INFERENCE[name](signals), member) == pytest.approx(0.5, abs=0.035)


@pytest.mark.parametrize("name", INFERENCE)
def test_the_order_of_examples_and_of_shadows_does_not_matter(name: str) -> None:
    signals, _ = full_world(60, 6, seed=8)
    rng = np.random.default_rng(0)
    shadows, examples = rng.permutation(6), rng.permutation(60)
    assert signals.uncertainty is not None
    assert signals.population_phi_Z is not None
    assert signals.shadow_population_phi_MZ is not None
    parts = (
        getattr(signals.uncertainty, part)[examples] for part in signals.uncertainty.__dataclass_fields__
    )
    shuffled = Signals(
        signals.phi_N[examples],
        signals.shadow_phi_MN[shadows][:, examples],
        signals.keep_MN[shadows][:, examples],
        signals.population_phi_Z[::-1],
        signals.shadow_population_phi_MZ[shadows][:, ::-1],
        Uncertainty(*parts),
    )
    np.testing.assert_allclose(INFERENCE[name](shuffled), INFERENCE[name](signals)[examples], rtol=1e-9)


@pytest.mark.parametrize("name", ["lira", "lira_offline", "bavaria_t", "bavaria_n", "bavaria_t_offline"])
def test_scores_of_a_gaussian_model_ignore_the_unit_of_phi(name: str) -> None:
    signals, _ = full_world(100, 6, seed=9)
    moved = Signals(3 * signals.phi_N - 7, 3 * signals.shadow_phi_MN - 7, signals.keep_MN)
    np.testing.assert_allclose(INFERENCE[name](moved), INFERENCE[name](signals), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("variance", ["fixed", "per_example"])
def test_known_moments_give_the_exact_ratio(variance: str) -> None:
    rng = np.random.default_rng(10)
    sigma = np.full(50, 1.7) if variance == "fixed" else rng.uniform(0.1, 5, 50)
    mu_in, mu_out, phi_N, n = (
        rng.normal(2, 3, 50),
        rng.normal(0, 3, 50),
        rng.normal(0, 5, 50),
        np.full(50, 9.0),
    )
    inside, outside = Moments(n, mu_in, 8 * sigma**2), Moments(n, mu_out, 8 * (2 * sigma) ** 2)
    found = lira.log_ratio(phi_N, outside, inside, shared=variance == "fixed")
    exact = stats.norm.logpdf(phi_N, mu_in, sigma) - stats.norm.logpdf(phi_N, mu_out, 2 * sigma)
    np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-12)
    tail = lira.log_ratio(phi_N, outside, None, shared=variance == "fixed")
    np.testing.assert_allclose(tail, -stats.norm.logsf(phi_N, mu_out, 2 * sigma), rtol=1e-10)


@pytest.mark.parametrize("fixed", [True, False])
def test_lira_is_the_formula_of_tensorflow_privacy(fixed: bool) -> None:
    """Its `compute_score_lira` with means, re-stated: log density without less with, negated here.

    Its variance divides by the number of residuals, ours by the degrees of freedom.
    """
    signals, _ = full_world(80, 12, seed=11)
    sides = {}
    for side, chosen_MN in (("in", signals.keep_MN), ("out", ~signals.keep_MN)):
        lists = [signals.shadow_phi_MN[chosen_MN[:, i], i] for i in range(80)]
        mean = np.array([values.mean() for values in lists])
        residuals = [values - m for values, m in zip(lists, mean, strict=True)]
        n = np.array([len(values) for values in lists])
        own = np.array([np.std(r) for r in residuals]) * np.sqrt(n / (n - 1))
        shared = np.std(np.concatenate(residuals)) * np.sqrt(n.sum() / (n - 1).sum())
        sides[side] = stats.norm.logpdf(signals.phi_N, mean, shared if fixed else own)
    found = lira.score(signals, variance="fixed" if fixed else "per_example")
    np.testing.assert_allclose(found, -(sides["out"] - sides["in"]), rtol=1e-9, atol=1e-9)


def test_saturated_shadows_leave_every_score_finite() -> None:
    signals, _ = full_world(40, 4, seed=12)
    shadow_MN = signals.shadow_phi_MN.copy()
    shadow_MN[:, :20] = 16.0  # what float32 says of a model that is sure
    for online in (True, False):
        for variance in ("fixed", "per_example"):
            stuck = Signals(signals.phi_N, shadow_MN, signals.keep_MN)
            assert bool(np.isfinite(lira.score(stuck, online=online, variance=variance)).all())
    same = Signals(signals.phi_N, np.full((4, 40), 16.0), signals.keep_MN)
    for name in ("lira", "lira_offline", "base", "base_offline", "bavaria_t", "bavaria_n"):
        assert bool(np.isfinite(INFERENCE[name](same)).all()), name


@pytest.mark.parametrize("name", sorted(set(INFERENCE) - {"loss"}))
def test_what_an_attack_lacks_is_named(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        INFERENCE[name](Signals.of_target(np.zeros(3)))
    assert caught.value.where
    assert caught.value.remedy


def test_signals_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(UsageError, match="no finite numbers"):
        Signals.of_target(np.array([0.0, np.nan]))
    with pytest.raises(UsageError, match="both or neither"):
        Signals(np.zeros(2), np.zeros((1, 2)), np.ones((1, 2), dtype=bool), population_phi_Z=np.zeros(3))
    with pytest.raises(UsageError, match="must have shape"):
        Signals(np.zeros(2), np.zeros((1, 2)), np.ones((1, 2), dtype=bool), np.zeros(3), np.zeros((1, 4)))


def test_shadows_missing_on_a_side_are_named() -> None:
    shadow = np.zeros((4, 3))
    keep = np.array([[True, True, False]] * 4)
    signals = Signals(np.zeros(3), shadow, keep)
    with pytest.raises(UsageError, match="without example 0"):
        lira.score(signals, online=False)
    with pytest.raises(UsageError, match="too few shadow models"):
        lira.score(Signals.of_target(np.zeros(3)))
    with pytest.raises(UsageError, match="do not fit"):
        Signals(np.zeros(3), np.zeros((4, 2)), keep)
    with pytest.raises(UsageError, match="K ≥ 2"):
        phi(np.zeros((3, 1)), np.zeros(3, dtype=np.int64))


def test_scores_need_no_torch() -> None:
    code = "import sys, raiaudit.attacks.inference; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
