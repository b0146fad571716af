"""Attribute inference: what a model betrays of a sensitive column, beyond what can be guessed without it.

The adversary knows the other columns and the label of a record. For each candidate value v the record is
completed and shown to the model, whose confidence in the true label is weighed with a prior,

    P[v | model] ∝ prior(v) · p(y | x with v)      Fredrikson et al., 10.1145/2810103.2813677;
                                                   as a rule: CSMIA, Mehnaz et al., arXiv:2012.03404

A model that has learned that income goes with age helps to guess an age, for members and strangers alike.
So two differences count (Jayaraman & Evans, arXiv:2209.01292): the gain over imputation, which guesses the
column from the others with no model at hand, and the gap of that gain between members and non-members;
only the second is what training on the record gave away.

Legend: N records, V candidate values, D other columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from raiaudit.attacks.inference.cross_fitting import cross_fit
from raiaudit.attacks.inference.signals import Floats, log_probability
from raiaudit.errors import UsageError

__all__ = ["Gain", "confidence_rule", "gain", "impute", "posterior"]


def posterior(phi_VN: Floats, prior_NV: Floats) -> Floats:
    """P[v | model], posterior_NV, from φ of the true label with each value filled in. Rows sum to 1.

    Raises `UsageError` where shapes do not fit or a row of the prior is no distribution.
    """
    if phi_VN.T.shape != prior_NV.shape:
        raise UsageError(f"phi_VN {phi_VN.shape} and prior_NV {prior_NV.shape} do not fit together")
    if (prior_NV < 0).any() or not np.allclose(prior_NV.sum(1), 1):
        raise UsageError(
            "the prior of a record must be probabilities that sum to 1", where="attribute inference"
        )
    with np.errstate(divide="ignore"):
        weight_NV = log_probability(phi_VN).T + np.log(prior_NV)
    return np.asarray(np.exp(weight_NV - logsumexp(weight_NV, axis=1, keepdims=True)))


def confidence_rule(confidence_VN: Floats, correct_VN: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The value that CSMIA names for each record, from the model's confidence in the label it predicts.

    One value with which the model is right: that one. Several: the one it is surest of. None: the one it is
    least sure of.
    """
    right_VN = np.where(correct_VN, confidence_VN, -np.inf)
    return np.asarray(np.where(correct_VN.any(0), right_VN.argmax(0), confidence_VN.argmin(0)))


def impute(
    features_ND: NDArray[Any],
    value_N: NDArray[np.integer[Any]],
    reference_N: NDArray[np.bool_],
    *,
    values: int,
    folds: int = 5,
    seed: int = 0,
) -> Floats:
    """P[v | other columns], prior_NV, learned from the reference records without the audited model.

    `features_ND` holds the other columns, numeric, and the label; `value_N` is 0 … `values` − 1. Each record
    is judged by a fit that did not have it; half a count is added to each value, so that none is impossible.
    Raises `UsageError` as `cross_fit` does.
    """

    def fit(x_RD: NDArray[Any], value_R: NDArray[Any]) -> Callable[[NDArray[Any]], NDArray[np.float64]]:
        from sklearn.ensemble import HistGradientBoostingClassifier

        seen, n = np.unique(value_R), len(value_R)
        model = None
        if len(seen) > 1:
            model = HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=8, random_state=seed)
            model.fit(x_RD, value_R)

        def said(x_BD: NDArray[Any]) -> NDArray[np.float64]:
            share_BV = np.zeros((len(x_BD), values))
            share_BV[:, seen] = 1.0 if model is None else model.predict_proba(x_BD)
            return np.asarray((n * share_BV + 0.5) / (n + 0.5 * values))

        return said

    return cross_fit(fit, features_ND, value_N, reference_N, folds=folds, seed=seed, where="imputation")


@dataclass(frozen=True, slots=True)
class Gain:
    """What the model adds for each record: nats of log-probability of the true value, and hits won less lost.

    `nats_N` is log posterior − log prior at the truth; `hits_N` is 1, 0 or −1. The mean over members less the
    mean over non-members is the leak.
    """

    nats_N: Floats
    hits_N: Floats


def gain(posterior_NV: Floats, prior_NV: Floats, value_N: NDArray[np.integer[Any]]) -> Gain:
    """`Gain` of the posterior over imputation; 0 nats where the prior excludes the truth, as both then do."""
    rows, least = np.arange(len(value_N)), np.finfo(np.float64).tiny
    known_N, guessed_N = posterior_NV[rows, value_N], prior_NV[rows, value_N]
    nats_N = np.log(np.maximum(known_N, least)) - np.log(np.maximum(guessed_N, least))
    hits_N = (posterior_NV.argmax(1) == value_N).astype(np.float64) - (prior_NV.argmax(1) == value_N)
    return Gain(nats_N, hits_N)
