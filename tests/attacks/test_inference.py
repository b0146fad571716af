"""Membership scores against worlds whose exact likelihood ratio is known."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from raiaudit.attacks.inference import INFERENCE, Signals, lira, loss_threshold, phi
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


def test_loss_threshold_has_the_closed_form_auc() -> None:
    rng = np.random.default_rng(1)
    member = np.arange(20000) < 10000
    signals = Signals.of_target(rng.normal(np.where(member, 1.0, 0.0), 1.0))
    # P(N(1,1) > N(0,1)) = Φ(1/√2); 10,000 against 10,000 has a standard error of about 0.003.
    assert auc(loss_threshold.score(signals), member) == pytest.approx(
        stats.norm.cdf(1 / np.sqrt(2)), abs=0.012
    )


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
        auc(INFERENCE[name](signals), member) for name in ("loss_threshold", "lira", "lira_offline")
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


def test_null_world_gives_chance() -> None:
    signals, _, _ = gaussian_world(4000, 16, seed=6)
    coin = np.random.default_rng(9).random(4000) < 0.5
    for name, attack in INFERENCE.items():
        assert auc(attack(signals), coin) == pytest.approx(0.5, abs=0.04), name


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
