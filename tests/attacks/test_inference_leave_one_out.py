"""Leave-one-out audits by subtraction against the loop that subtracts nothing."""

from __future__ import annotations

import numpy as np
import pytest

from raiaudit.attacks.inference import Signals, base, leave_one_out, lira, rmia
from raiaudit.attacks.inference.lira import Variance
from raiaudit.attacks.inference.moments import of_chosen, of_others
from raiaudit.errors import UsageError


def world(seed: int, *, shadows: int = 10, examples: int = 80) -> Signals:
    """Far from 0, where sums of squares would cancel; each example with and without three shadows or more."""
    rng = np.random.default_rng(seed)
    keep_MN = np.argsort(rng.random((shadows, examples)), axis=0) < rng.integers(3, shadows - 2, examples)
    return Signals(
        np.zeros(examples),
        rng.normal(1e4, 1, (shadows, examples)),
        keep_MN,
        rng.normal(size=40),
        rng.normal(size=(shadows, 40)),
    )


def naive(signals: Signals, **options: object) -> np.ndarray:
    scores = []
    for m in range(len(signals.keep_MN)):
        others = [k for k in range(len(signals.keep_MN)) if k != m]
        left = Signals(signals.shadow_phi_MN[m], signals.shadow_phi_MN[others], signals.keep_MN[others])
        scores.append(lira.score(left, **options))  # type: ignore[arg-type]  # one call for all options
    return np.stack(scores)


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("variance", ["auto", "fixed", "per_example"])
def test_scores_equal_the_naive_loop(online: bool, variance: Variance) -> None:
    signals = world(1)
    found = leave_one_out.lira_scores(signals, online=online, variance=variance)
    np.testing.assert_allclose(found, naive(signals, online=online, variance=variance), rtol=1e-8, atol=1e-8)


def test_taking_an_outlier_out_leaves_the_digits_of_the_rest() -> None:
    signals = world(2)
    shadow_MN = signals.shadow_phi_MN.copy()
    shadow_MN[4] += 1e9
    found = of_others(shadow_MN, signals.keep_MN)
    chosen_MN = signals.keep_MN.copy()
    chosen_MN[4] = False
    exact = of_chosen(shadow_MN, chosen_MN)
    for part, rest in zip(found, exact, strict=True):
        np.testing.assert_allclose(part[4], rest, rtol=1e-9)


def test_auto_counts_the_shadows_that_are_left() -> None:
    signals = world(3, shadows=lira.FEW_SHADOWS, examples=10)
    fixed = leave_one_out.lira_scores(signals, variance="fixed")
    np.testing.assert_array_equal(leave_one_out.lira_scores(signals), fixed)


def test_every_attack_has_its_turns() -> None:
    signals = world(4, shadows=6, examples=20)
    turns = list(leave_one_out.turns(signals))
    assert len(turns) == 6
    found = np.stack([lira.score(turn) for turn in turns])
    np.testing.assert_allclose(found, leave_one_out.lira_scores(signals), rtol=1e-8, atol=1e-8)
    for m, turn in enumerate(turns):
        assert not any(np.array_equal(signals.shadow_phi_MN[m], row) for row in turn.shadow_phi_MN)
        assert np.isfinite(base.score(turn)).all()
        assert turn.shadow_population_phi_MZ is not None
        assert turn.shadow_population_phi_MZ.shape == (5, 40)
        assert np.isfinite(rmia.score(turn)).all()


def test_a_point_that_only_the_target_left_out_is_named() -> None:
    keep_MN = np.array([[True, True], [False, True], [True, False], [True, False]])
    signals = Signals(np.zeros(2), np.random.default_rng(0).normal(size=(4, 2)), keep_MN)
    with pytest.raises(UsageError, match="without example 0: 0"):
        leave_one_out.lira_scores(signals)
