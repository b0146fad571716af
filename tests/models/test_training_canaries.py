"""Dirac canaries in the noisy steps: what they add, what is seen of them, and the best test of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from raiaudit.attacks.spaces import ImageBox
from raiaudit.errors import UsageError
from raiaudit.models.architectures.mlp import MLP
from raiaudit.models.recipe import PrivacyBudget, Recipe
from raiaudit.models.training import private
from raiaudit.models.training.canaries import GradientCanaries
from raiaudit.models.training.data import Batch
from raiaudit.models.training.private import PrivateStep

M, CLIP, SIGMA = 40, 0.5, 1.5


def parameters() -> dict[str, torch.nn.Parameter]:
    return {
        "a": torch.nn.Parameter(torch.zeros(5, 6)),
        "b": torch.nn.Parameter(torch.zeros(7)),
        "c": torch.nn.Parameter(torch.zeros(2, 3)),
    }


def test_an_included_canary_adds_the_clipping_norm_to_a_coordinate_of_its_own() -> None:
    sums = {name: torch.zeros_like(parameter) for name, parameter in parameters().items()}
    canaries = GradientCanaries(np.arange(M) % 2 == 0, seed=0)
    canaries.plant(sums, clip=CLIP, sample_rate=1.0)
    flat = torch.cat([total.detach().flatten() for total in sums.values()])
    assert sorted(flat.tolist()) == [0.0] * (43 - M // 2) + [CLIP] * (M // 2)


def test_each_takes_part_by_its_own_coin() -> None:
    sums = {"a": torch.zeros(M)}
    canaries = GradientCanaries(np.ones(M, dtype=bool), seed=1)
    for _ in range(500):
        canaries.plant(sums, clip=1.0, sample_rate=0.2)
    counts = sums["a"].numpy()
    assert abs(counts.mean() - 100) < 5 * (80 / M) ** 0.5
    assert counts.var() == pytest.approx(80, rel=0.8)  # one coin for all would give none


def test_the_score_is_the_log_likelihood_ratio_of_the_residuals_whatever_others_add() -> None:
    torch.manual_seed(0)
    named, rate = parameters(), 0.3
    canaries = GradientCanaries(np.arange(M) < M // 2, seed=2)
    expected_by_step, seen = [], []
    for _ in range(6):
        others = {name: 10 * torch.randn_like(parameter) for name, parameter in named.items()}
        sums = {name: total.clone() for name, total in others.items()}
        canaries.plant(sums, clip=CLIP, sample_rate=rate)
        for name, parameter in named.items():
            parameter.grad = (sums[name] + SIGMA * CLIP * torch.randn_like(parameter)).detach() / 8.0
        canaries.watch(named, divisor=8.0, sigma=SIGMA)
        residual = np.concatenate(
            [
                ((p.grad * 8.0 - others[n]) / CLIP).flatten().numpy()
                for n, p in named.items()
                if p.grad is not None
            ]
        )
        one, zero = stats.norm(1, SIGMA).pdf(residual), stats.norm(0, SIGMA).pdf(residual)
        expected_by_step.append(np.log((1 - rate) + rate * one / zero))
        seen.append(residual)
    expected = np.sum(expected_by_step, axis=0)
    # Each canary has one of the 43 coordinates.
    assert np.isclose(canaries.scores_M[:, None], expected, atol=1e-4).any(1).all()


def test_more_canaries_than_parameters_are_refused() -> None:
    canaries = GradientCanaries(np.ones(8, dtype=bool), seed=0)
    with pytest.raises(UsageError, match="at most 7"):
        canaries.plant({"b": torch.zeros(7)}, clip=1.0, sample_rate=0.5)


def test_rows_that_an_audit_adds_change_no_rate_no_divisor_and_no_noise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def multiplier(**given: float) -> float:
        asked.append(given)
        return 1.0

    monkeypatch.setattr(private, "noise_multiplier", multiplier)
    recipe = Recipe(
        kind="private",
        architecture="mlp",
        epochs=2,
        batch_size=16,
        privacy=PrivacyBudget(epsilon=8, delta=1e-4, gradients="hooks"),
    )

    def step(examples: int, public: int | None) -> PrivateStep:
        return PrivateStep(
            MLP([5], 3),
            recipe,
            examples=examples,
            space=ImageBox((5,)),
            device=torch.device("cpu"),
            public_examples=public,
        )

    plain, audited = step(64, None), step(100, 64)
    assert asked[0] == asked[1]
    for name in ("sample_rate", "divisor", "steps"):
        assert getattr(plain, name) == getattr(audited, name)
    drawn = torch.cat(list(audited.batches(torch.Generator().manual_seed(0))))
    assert drawn.max() > 64


def test_the_step_hides_a_canary_as_well_as_the_accountant_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """One step at q = 1: scores are those of N(0, σ²) against N(1, σ²)."""
    monkeypatch.setattr(private, "noise_multiplier", lambda **_: 1.3)
    recipe = Recipe(
        kind="private",
        architecture="mlp",
        epochs=1,
        batch_size=16,
        privacy=PrivacyBudget(epsilon=8, delta=1e-4, clip=CLIP, gradients="hooks"),
    )
    torch.manual_seed(0)
    model = MLP([5], 3, hidden=400)
    included = np.random.default_rng(0).random(1500) < 0.5
    canaries = GradientCanaries(included, seed=3)
    step = PrivateStep(
        model,
        recipe,
        examples=16,
        space=ImageBox((5,)),
        device=torch.device("cpu"),
        canaries=canaries,
    )
    assert step.sample_rate == 1
    batch = Batch(torch.randn(16, 5), torch.arange(16) % 3, torch.arange(16))
    step.gradients(batch, 0.0, torch.Generator().manual_seed(0))
    x = canaries.scores_M * step.sigma**2 + 0.5  # the ratio is monotone in the residual
    standard = (x - included) / step.sigma
    assert stats.kstest(standard, "norm").pvalue > 1e-3
    assert math.isclose(x[included].mean() - x[~included].mean(), 1.0, abs_tol=5 * step.sigma * 2 / 1500**0.5)
