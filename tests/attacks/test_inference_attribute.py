"""Attribute inference where Bayes' rule has the answer, where the model knows nothing, where it leaks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from raiaudit.attacks.inference import attribute
from raiaudit.errors import UsageError


def test_the_posterior_is_bayes_rule() -> None:
    rng = np.random.default_rng(0)
    prior, p_y = rng.dirichlet(np.ones(3), 40), rng.random((3, 40))
    joint = prior * p_y.T
    np.testing.assert_allclose(
        attribute.posterior(logit(p_y), prior), joint / joint.sum(1, keepdims=True), rtol=1e-10
    )


def test_a_model_that_ignores_the_column_adds_nothing() -> None:
    rng = np.random.default_rng(1)
    prior, value = rng.dirichlet(np.ones(4), 30), rng.integers(0, 4, 30)
    posterior = attribute.posterior(np.repeat(rng.normal(0, 300, (1, 30)), 4, axis=0), prior)
    found = attribute.gain(posterior, prior, value)
    np.testing.assert_allclose(found.nats_N, 0, atol=1e-12)
    np.testing.assert_array_equal(found.hits_N, 0)


def test_gain_is_won_by_members_of_a_model_that_memorised() -> None:
    """The model is surer of the true label if the record is completed as it was trained on."""
    rng = np.random.default_rng(2)
    value, member = rng.integers(0, 3, 3000), rng.random(3000) < 0.5
    phi_VN = np.full((3, 3000), -1.0)
    phi_VN[value[member], np.flatnonzero(member)] = 1.0
    prior = np.full((3000, 3), 1 / 3)
    found = attribute.gain(attribute.posterior(phi_VN, prior), prior, value)
    share = expit(1.0) / (expit(1.0) + 2 * expit(-1.0))
    np.testing.assert_allclose(found.nats_N[member], np.log(3 * share))
    np.testing.assert_allclose(found.nats_N[~member], 0, atol=1e-12)
    # Members are all found, 1/3 of them by chance already; a third of 1,500 has a standard error of 0.012.
    assert found.hits_N[member].mean() == pytest.approx(2 / 3, abs=0.05)
    assert found.hits_N[~member].mean() == 0


def test_the_csmia_rule_by_hand() -> None:
    """Right with one value, with two, with none (arXiv:2012.03404)."""
    confidence = np.array([[0.9, 0.6, 0.9], [0.7, 0.8, 0.55], [0.99, 0.7, 0.8]])
    correct = np.array([[True, True, False], [False, True, False], [False, False, False]])
    np.testing.assert_array_equal(attribute.confidence_rule(confidence, correct), [0, 1, 1])


def test_imputation_finds_the_conditional_distribution() -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(0, 2, (1500, 2)).astype(float)
    share = np.where(x[:, 0] > 0, 0.85, 0.2)
    value = (rng.random(1500) < share).astype(np.int64)
    prior = attribute.impute(x, value, rng.random(1500) < 0.7, values=2, folds=3)
    np.testing.assert_allclose(prior.sum(1), 1)
    # Four kinds of records, about 170 of each learned from: standard error at most 0.04.
    assert np.abs(prior[:, 1] - share).mean() < 0.06


def test_imputation_is_not_judged_on_what_it_learned() -> None:
    """Random values of unique records: whoever remembers them does better than chance."""
    rng = np.random.default_rng(4)
    x, value = rng.random((600, 1)), rng.integers(0, 2, 600)
    prior = attribute.impute(x, value, np.ones(600, dtype=bool), values=2, folds=3)
    hits = prior.argmax(1) == value
    assert hits.mean() < 0.5 + 4 * 0.5 / np.sqrt(600)


def test_a_value_that_no_reference_has_stays_possible() -> None:
    value = np.array([0] * 20 + [1, 2])
    prior = attribute.impute(np.zeros((22, 1)), value, np.arange(22) < 20, values=3, folds=2)
    np.testing.assert_allclose(prior.sum(1), 1)
    np.testing.assert_allclose(prior[:, 2], 0.5 / (10 + 1.5))


def test_a_prior_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="sum to 1"):
        attribute.posterior(np.zeros((2, 1)), np.array([[0.5, 0.6]]))
    with pytest.raises(UsageError, match="do not fit"):
        attribute.posterior(np.zeros((2, 3)), np.full((2, 2), 0.5))
