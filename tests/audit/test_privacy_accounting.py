"""The accountant's claim: certified when it holds, an undefined ε with a reason when it does not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from raiaudit.attacks.spaces import Column, TableSchema
from raiaudit.audit.gates import Gate, decide
from raiaudit.audit.privacy.accounting import Accounting, AccountingConfig
from raiaudit.models.data.dataset import Dataset
from raiaudit.models.recipe import Recipe
from raiaudit.models.version import PrivacyRecord

if TYPE_CHECKING:
    from raiaudit.audit.measurement import Measurement

DELTA = 1e-5


def closed_form(sigma: float, steps: int) -> float:
    """ε of T unsampled Gaussian mechanisms, exactly: δ(ε) of μ-GDP with μ = √T/σ (arXiv:1905.02383)."""
    mu = steps**0.5 / sigma

    def excess(epsilon: float) -> float:
        delta = norm.cdf(-epsilon / mu + mu / 2) - norm.cdf(-epsilon / mu - mu / 2) * math.exp(epsilon)
        return float(delta) - DELTA

    return float(brentq(excess, 0, 50))


EXACT = closed_form(4.0, 16)


def claim(**changes: Any) -> PrivacyRecord:
    facts: dict[str, Any] = {
        "sample_rate": 1.0,
        "noise_multiplier": 4.0,
        "steps": 16,
        "clip": 1.0,
        "delta": DELTA,
        "epsilon_pld": EXACT,
        "epsilon_prv": None,
        "target_epsilon": 8.0,
        "poisson_sampling": True,
        "public_divisor": 100.0,
        "max_clipped_norm": 1.0,
        "certified": True,
    }
    return PrivacyRecord(**{**facts, **changes})


@pytest.fixture
def audited(make_subject: Any, run_check: Any) -> Any:
    """A record → the measurements of the check, by metric."""

    def audit(privacy: PrivacyRecord | None, **record: Any) -> dict[str, Measurement]:
        schema = TableSchema((Column("c", "real"),))
        dataset = Dataset("d", "tabular", ("no", "yes"), schema, {}, digest="d")
        recipe = Recipe(architecture="mlp")
        subject = make_subject(None, dataset, **{"privacy": privacy, "recipe": recipe, **record})
        check, config = Accounting(), AccountingConfig()
        ledger = run_check(check, subject, config)
        evidence = check.evidence(ledger, subject, config)
        assert bool(evidence) == (privacy is not None)
        return {m.metric: m for m in check.summarise(ledger, subject, config)}

    return audit


def test_epsilon_is_the_closed_form_of_the_gaussian_mechanism(audited: Any) -> None:
    found = audited(claim())
    assert found["epsilon"].value == pytest.approx(EXACT, rel=2e-3)
    assert found["epsilon"].value >= EXACT * (1 - 1e-6)  # an upper bound
    assert found["epsilon_prv"].value is None
    assert found["epsilon_prv"].reason


def test_a_record_that_disagrees_with_its_own_noise_is_not_certified(audited: Any) -> None:
    found = audited(claim(epsilon_pld=EXACT / 2))
    assert found["epsilon"].value is None
    assert "its own q, σ, steps and δ give" in found["epsilon"].reason
    assert audited(claim(epsilon_pld=EXACT * 1.005))["epsilon"].value is not None
    assert audited(claim(epsilon_pld=EXACT * 1.02))["epsilon"].value is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"certified": False, "why": "normalisation statistics"}, "normalisation statistics"),
        ({"poisson_sampling": False}, "Poisson"),
        ({"noise_multiplier": 0.0}, "no finite ε"),
        ({"epsilon_prv": EXACT * 1.5}, "PRV accountant says"),
    ],
)
def test_a_broken_assumption_leaves_no_value(changes: dict[str, Any], says: str, audited: Any) -> None:
    found = audited(claim(**changes))
    assert found["epsilon"].value is None
    assert says in found["epsilon"].reason


def test_sampling_amplifies(audited: Any) -> None:
    """A tenth of the data a step costs far less than all of it (and the full claim is then wrong)."""
    sampled = audited(claim(sample_rate=0.1, epsilon_pld=0.4))
    assert sampled["epsilon"].value is None
    assert "0.4" in sampled["epsilon"].reason


def test_a_model_without_privacy_is_unbounded_and_its_gate_inconclusive(audited: Any) -> None:
    found = audited(None)
    assert found["epsilon"].value is None
    assert "unbounded" in found["epsilon"].reason
    verdict = decide("privacy.accounting", Gate(metric="epsilon", max=8), list(found.values()))
    assert verdict.status == "inconclusive"
    assert "not known" in audited(None, recipe=None)["epsilon"].reason
