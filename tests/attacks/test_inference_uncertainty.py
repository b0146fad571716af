"""Confidence, entropy and modified entropy against fifty-digit arithmetic."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest

from raiaudit.attacks.inference import Signals, thresholds, uncertainty


def exact(logits: list[float], y: int) -> tuple[float, float, float]:
    """(log odds of the largest probability, entropy, modified entropy), by their definitions."""
    with localcontext() as context:
        context.prec = 500  # 1 − p must not round even where p is 1 but for e^−700
        e = [Decimal(value).exp() for value in logits]
        p = [value / sum(e) for value in e]
        rest = [(sum(e) - value) / sum(e) for value in e]
        top = max(range(len(p)), key=lambda k: p[k])
        modified = -rest[y] * p[y].ln() - sum(p[k] * rest[k].ln() for k in range(len(p)) if k != y)
        entropy = -sum(value * value.ln() for value in p)
        return float((p[top] / rest[top]).ln()), float(entropy), float(modified)


@pytest.mark.parametrize(
    ("logits", "y"),
    [
        ([1.0, 2.0, -0.5, 0.3], 0),
        ([1.0, 2.0, -0.5, 0.3], 1),
        ([0.0, 0.0, 0.0], 2),
        ([0.0, 0.0], 1),
        ([60.0, 1.0, 2.0], 0),
        ([60.0, 1.0, 2.0], 1),
        ([700.0, 0.0, -3.0], 0),
        ([700.0, 0.0, -3.0], 2),
        ([-300.0, 300.0], 0),
    ],
)
def test_all_three_keep_their_digits(logits: list[float], y: int) -> None:
    found = uncertainty(np.array([logits]), np.array([y]))
    confidence, entropy, modified = exact(logits, y)
    assert found.confidence_N[0] == pytest.approx(confidence, rel=1e-12, abs=1e-12)
    assert found.entropy_N[0] == pytest.approx(entropy, rel=1e-12, abs=0)
    assert found.modified_entropy_N[0] == pytest.approx(modified, rel=1e-12, abs=0)


def test_logits_beyond_every_exponent_stay_finite() -> None:
    found = uncertainty(np.array([[1e5, 0.0, 0.0]] * 2), np.array([0, 1]))
    np.testing.assert_array_equal(found.entropy_N, [0.0, 0.0])
    np.testing.assert_allclose(found.modified_entropy_N, [0.0, 2e5 - np.log(2)], rtol=1e-15)


def test_classes_that_are_impossible_add_nothing() -> None:
    some = uncertainty(np.array([[1.0, 0.0, -np.inf]]), np.array([1]))
    two = uncertainty(np.array([[1.0, 0.0]]), np.array([1]))
    np.testing.assert_array_equal(some.entropy_N, two.entropy_N)
    np.testing.assert_array_equal(some.modified_entropy_N, two.modified_entropy_N)


def test_modified_entropy_falls_as_the_right_class_gains_and_entropy_does_not() -> None:
    """The reason for it (arXiv:2003.10595): a sure mistake has no entropy, and is no sign of a member."""
    logits = np.stack([np.linspace(-8, 8, 33), np.zeros(33)], axis=1)
    found = uncertainty(logits, np.zeros(33, dtype=np.int64))
    assert bool((np.diff(found.modified_entropy_N) < 0).all())
    np.testing.assert_allclose(found.entropy_N, found.entropy_N[::-1])


def test_scores_are_larger_for_the_sure() -> None:
    logits = np.array([[3.0, 0.0, 0.0], [0.1, 0.0, 0.0]])
    signals = Signals.of_target(np.array([1.0, 0.0]), uncertainty(logits, np.array([0, 0])))
    for attack in (thresholds.confidence, thresholds.entropy, thresholds.modified_entropy, thresholds.loss):
        sure, unsure = attack(signals)
        assert sure > unsure
