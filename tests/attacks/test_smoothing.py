"""Randomized smoothing against linear models, whose smoothed probability and radius have closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binom, kstest, norm
from torch import Tensor, nn

from raiaudit.attacks.certificates import ABSTAINED, CERTIFICATES
from raiaudit.attacks.certificates.smoothing import Smoothing
from raiaudit.attacks.spaces import ImageBox
from raiaudit.errors import CapabilityError, QueryFailedError

SPACE = ImageBox((1, 4, 4))


def distances(model: Any, x: Tensor) -> Tensor:
    """From each input to the boundary of a two-class linear model, in L2."""
    weight = model.layer.weight[1] - model.layer.weight[0]
    gap_B = (model(x) * torch.tensor([-1.0, 1.0])).sum(1)
    distance_B: Tensor = (gap_B.abs() / weight.norm()).detach().double()
    return distance_B


def test_a_linear_model_gets_its_closed_form_radius(linear: Any) -> None:
    """P(class) = Φ(distance/σ), so the exact radius is the distance; the bound may lack only chance."""
    model, sigma, n = linear(2, seed=3), 0.5, 20_000
    x = torch.rand(24, 1, 4, 4, generator=torch.Generator().manual_seed(2))
    found = Smoothing(sigma=sigma, n=n)(model, x, space=SPACE, seed=0)
    exact = distances(model, x)
    assert bool((found.radius_B <= exact).all())
    certified = found.predicted_B != ABSTAINED
    assert torch.equal(found.predicted_B[certified], model(x).argmax(1)[certified])
    assert torch.equal(found.radius_B > 0, certified)
    p = norm.cdf(exact / sigma)
    unlucky = p - 8 * np.sqrt(p * (1 - p) / n)
    least = sigma * norm.ppf(np.maximum(unlucky, 0.5))
    reachable = exact < 2.5 * sigma
    assert int(reachable.sum()) >= 12
    assert bool((found.radius_B[reachable] >= torch.from_numpy(least)[reachable]).all())


@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_the_bound_covers_at_every_probability(alpha: float) -> None:
    """Exact enumeration: P(bound > p) ≤ α for every p, and no bound is so low that it comes to nothing."""
    n = 60
    bound_K = norm.cdf(Smoothing(sigma=1.0, n=n, alpha=alpha).radius(torch.arange(n + 1)).numpy())
    worst = 0.0
    for p in np.linspace(0.51, 0.999, 300):
        miss = binom.pmf(np.arange(n + 1), n, p)[bound_K > p].sum()
        assert miss <= alpha * (1 + 1e-9)
        worst = max(worst, miss)
    assert worst > 0.7 * alpha
    assert bound_K[0] == bound_K[n // 2] == 0.5
    assert bound_K[n] == pytest.approx(alpha ** (1 / n))


def test_certificates_err_as_seldom_as_promised_over_ids(linear: Any) -> None:
    """One input under 1500 names: the share of radii beyond the exact one is at most α."""
    model, alpha = linear(2, seed=3), 0.1
    x = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(5))
    exact = float(distances(model, x))
    attempt = Smoothing(sigma=exact, n0=20, n=100, alpha=alpha)
    found = attempt(model, x.expand(1500, -1, -1, -1), space=SPACE, seed=1)
    wrong = float((found.radius_B > exact).double().mean())
    assert 0.02 < wrong < alpha + 3 * np.sqrt(alpha * (1 - alpha) / 1500)
    hits = norm.cdf(found.radius_B.numpy() / exact)
    assert len(np.unique(hits)) > 10


class Recorder(nn.Module):
    """Keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.clone())
        return torch.stack([x.flatten(1).sum(1), torch.zeros(len(x))], dim=1)


def test_noise_is_normal_fresh_and_kept_within_the_batch() -> None:
    model = Recorder()
    x = torch.zeros(3, 1, 4, 4)
    Smoothing(sigma=0.3, n0=70, n=150, batch_size=130)(model, x, space=SPACE, seed=0)
    assert max(map(len, model.seen)) <= 130
    noise = torch.cat(model.seen[1:])  # the first look is at the clean inputs
    assert len(noise) == 3 * (70 + 150)
    assert len(torch.unique(noise)) > 0.99 * noise.numel()
    assert kstest(noise.flatten().numpy() / 0.3, "norm").pvalue > 0.01
    # Neither pixels nor samples are correlated.
    flat = noise.flatten(1)
    assert float((torch.corrcoef(flat.T) - torch.eye(16)).abs().max()) < 5 / np.sqrt(len(flat))


def test_invariant_to_batch_order_and_shard(linear: Any) -> None:
    model = linear(3, seed=0)
    x = torch.rand(10, 1, 4, 4, generator=torch.Generator().manual_seed(2))
    whole = Smoothing(sigma=0.7, n0=70, n=500)(model, x, space=SPACE, seed=4)
    assert len(torch.unique(whole.radius_B)) > 3
    order = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    for part in (order[:3], order[3:]):
        shard = Smoothing(sigma=0.7, n0=70, n=500, batch_size=1000)(
            model, x[part], space=SPACE, seed=4, ids=part
        )
        assert torch.equal(shard.radius_B, whole.radius_B[part])
        assert torch.equal(shard.predicted_B, whole.predicted_B[part])
    other = Smoothing(sigma=0.7, n0=70, n=500)(model, x, space=SPACE, seed=5)
    assert not torch.equal(other.radius_B, whole.radius_B)


def test_abstains_where_classes_tie(linear: Any) -> None:
    """An input on the boundary itself is given either class half of the time."""
    model = linear(2, seed=3)
    weight = (model.layer.weight[1] - model.layer.weight[0]).detach()
    bias = (model.layer.bias[1] - model.layer.bias[0]).detach()
    x = (-bias * weight / weight.square().sum()).view(1, 1, 4, 4).expand(20, -1, -1, -1)
    found = Smoothing(sigma=0.5, n=1000)(model, x, space=SPACE, seed=0)
    assert bool((found.predicted_B == ABSTAINED).all())
    assert bool((found.radius_B == 0).all())


class Flaky(nn.Module):
    """Class 0 always, but NaN for a share of noisy inputs (or always)."""

    def __init__(self, above: float) -> None:
        super().__init__()
        self.above = above

    def forward(self, x: Tensor) -> Tensor:
        logits = torch.tensor([1.0, 0.0]).expand(len(x), 2).clone()
        logits[x.flatten(1)[:, 0] > self.above] = torch.nan
        return logits


def test_nan_is_a_vote_for_no_class() -> None:
    x = torch.zeros(4, 1, 4, 4)
    found = Smoothing(sigma=1.0, n=1000)(Flaky(1.0), x, space=SPACE, seed=0)  # NaN 15.9 % of the time
    assert bool((found.radius_B > 0).all())
    assert bool((found.radius_B < 1.0).all())  # Φ⁻¹(0.841) = 1
    with pytest.raises(CapabilityError, match="NaN to a clean input"):
        Smoothing(sigma=1.0)(Flaky(-1.0), x, space=SPACE, seed=0)


def test_an_unanswered_query_is_a_vote_for_no_class() -> None:
    """A black box that fails on the very rows where `Flaky` says NaN gives the very same certificates."""
    x, flaky = torch.zeros(4, 1, 4, 4), Flaky(1.0)

    def failing(rows: Tensor) -> Tensor:
        answers: Tensor = flaky(rows)
        failed = answers.isnan().any(1).nonzero().squeeze(1).tolist()
        if failed:
            raise QueryFailedError("no answer", rows=tuple(failed), answers=answers)
        return answers

    attempt = Smoothing(sigma=1.0, n=1000)
    found, expected = (attempt(model, x, space=SPACE, seed=0) for model in (failing, flaky))
    assert torch.equal(found.radius_B, expected.radius_B)
    assert bool((found.radius_B > 0).all())


class Viewing(nn.Module):
    """A convolution whose output only a `view` of the usual order takes, or one that does not mind."""

    def __init__(self, flatten: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(2, 4, 3)
        self.linear = nn.Linear(16, 3)
        self.flatten = flatten

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv(x).relu()
        logits: Tensor = self.linear(hidden.flatten(1) if self.flatten else hidden.view(len(x), -1))
        return logits


def test_the_order_of_memory_changes_no_answer() -> None:
    """The noise of a pixel differs with the order, its distribution does not: counts agree within chance."""
    x = torch.rand(6, 2, 4, 4, generator=torch.Generator().manual_seed(2))
    attempt = Smoothing(sigma=0.4, n=4000)
    flat, viewed = (attempt(Viewing(flat), x, space=SPACE, seed=0) for flat in (True, False))
    p_flat, p_viewed = (norm.cdf(found.radius_B.numpy() / 0.4) for found in (flat, viewed))
    np.testing.assert_allclose(p_flat, p_viewed, atol=5 * np.sqrt(0.5 / 4000))
    assert torch.equal(flat.predicted_B, viewed.predicted_B)


def test_the_model_is_left_as_it_was(small_net: nn.Sequential, images: Tensor) -> None:
    """In training mode, where dropout and batch statistics would spoil every vote."""
    small_net.train()
    CERTIFICATES["smoothing"](sigma=0.2, n0=10, n=20)(
        small_net, images[:4], space=ImageBox((1, 8, 8)), seed=0
    )
    assert all(module.training for module in small_net.modules())
    assert all(parameter.requires_grad for parameter in small_net.parameters())
    assert float(small_net[1].running_mean.abs().max()) == 0  # type: ignore[operator]  # a BatchNorm2d


@pytest.mark.parametrize("options", [{"sigma": 0.0}, {"n": 0}, {"n0": 0}, {"alpha": 0.6}])
def test_a_wrong_option_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="are wanted"):
        Smoothing(**{"sigma": 0.5, **options})
