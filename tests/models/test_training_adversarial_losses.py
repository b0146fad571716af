"""Robust losses and perturbations against their formulas: in numpy, in closed form, by finite differences."""

from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from raiaudit.models.architectures.vit import VisionTransformer
from raiaudit.models.training.adversarial.alignment import misalignment
from raiaudit.models.training.adversarial.mart import boosted_cross_entropy, mart
from raiaudit.models.training.adversarial.noisy_step import noisy_step
from raiaudit.models.training.adversarial.trades import trades
from raiaudit.models.training.adversarial.weight_perturbation import frozen_statistics, raised_weights

Array = NDArray[np.float64]

# The first two rows are right at the perturbed input, the last two are not.
CLEAN = np.array([[2.0, 0.0, -1.0], [0.5, 1.5, 0.0], [1.0, 0.9, 0.8], [-2.0, 0.0, 3.0]])
MOVED = np.array([[0.7, 0.4, -1.0], [0.5, 0.6, 0.0], [0.2, 1.9, 0.8], [2.5, 0.0, 1.0]])
LABELS = np.array([0, 1, 0, 2])


def softmax(logits: Array) -> Array:
    powers: Array = np.exp(logits)
    return cast("Array", powers / powers.sum(1, keepdims=True))


def given(array: Array) -> Tensor:
    return torch.from_numpy(array).requires_grad_()


@pytest.mark.parametrize("beta", [0.0, 1.0, 6.0])
def test_trades_is_its_formula(beta: float) -> None:
    p, q = softmax(CLEAN), softmax(MOVED)
    natural = -np.log(p[range(4), LABELS]).mean()
    divergence = (p * np.log(p / q)).sum(1).mean()
    found = trades(given(CLEAN), given(MOVED), torch.from_numpy(LABELS), beta=beta)
    assert found.item() == pytest.approx(natural + beta * divergence, rel=1e-12)


def test_mart_is_its_formula() -> None:
    p, q = softmax(CLEAN), softmax(MOVED)
    rival = [max(q[i, k] for k in range(3) if k != y) for i, y in enumerate(LABELS)]
    boosted = (-np.log(q[range(4), LABELS]) - np.log(1 - np.array(rival))).mean()
    weighed = ((p * np.log(p / q)).sum(1) * (1 - p[range(4), LABELS])).mean()
    found = mart(given(CLEAN), given(MOVED), torch.from_numpy(LABELS), beta=5.0)
    assert found.item() == pytest.approx(boosted + 5 * weighed, rel=1e-12)


@pytest.mark.parametrize("loss", [trades, mart])
def test_the_gradient_goes_through_both_answers(loss: Any) -> None:
    def of(clean: Tensor, moved: Tensor) -> Tensor:
        return cast("Tensor", loss(clean, moved, torch.from_numpy(LABELS), beta=3.0))

    assert torch.autograd.gradcheck(of, (given(CLEAN), given(MOVED)))


def test_a_confident_error_keeps_a_finite_loss_and_gradient() -> None:
    moved = torch.tensor([[80.0, -80.0, 0.0], [200.0, 0.0, 0.0]], requires_grad=True)
    loss = boosted_cross_entropy(moved, torch.tensor([1, 2]))
    loss.backward()  # type: ignore[no-untyped-call]
    # −log p_y + log of everything over everything but the rival: (160 + 80, 200 + (200 − log 2)) / 2.
    assert loss.item() == pytest.approx((240 + 400 - np.log(2)) / 2)
    assert moved.grad is not None
    assert moved.grad.isfinite().all()


def test_label_smoothing_concerns_the_cross_entropy_alone() -> None:
    y_B = torch.from_numpy(LABELS)
    for loss, at in ((trades, CLEAN), (mart, MOVED)):
        plain, smooth = (
            loss(given(CLEAN), given(MOVED), y_B, beta=2.0, label_smoothing=share) for share in (0.0, 0.3)
        )
        log_p = np.log(softmax(at))
        raised = 0.3 * (log_p[range(4), LABELS] - log_p.mean(1)).mean()
        assert (smooth - plain).item() == pytest.approx(raised)


def line(weights: list[list[float]]) -> nn.Linear:
    model = nn.Linear(len(weights[0]), len(weights), bias=False)
    model.weight.data = torch.tensor(weights)
    return model


def test_n_fgsm_on_a_line_is_noise_and_one_whole_step() -> None:
    model = line([[1.0, -2.0, 0.5, 0.0], [0.0, 1.0, 1.5, 0.0]])
    x = torch.rand(64, 4, generator=torch.Generator().manual_seed(3))
    y_B = torch.arange(64) % 2
    moved = noisy_step(
        model,
        x,
        y_B,
        eps=0.2,
        step_size=0.15,
        low=0.0,
        high=1.0,
        generator=torch.Generator().manual_seed(0),
    )
    noise = (2 * torch.rand(64, 4, generator=torch.Generator().manual_seed(0)) - 1) * 0.4
    uphill = (model.weight[1 - y_B] - model.weight[y_B]).sign()  # of the loss of a two-class line
    expected = ((x + noise).clamp(0, 1) + 0.15 * uphill).clamp(0, 1)
    assert torch.allclose(moved, expected, atol=1e-6)
    assert (moved - x).abs().max() > 0.4  # beyond the ball, and beyond the noise
    assert (moved[:, 3] - (x + noise)[:, 3].clamp(0, 1)).abs().max() < 1e-6  # no gradient, no step


def test_awp_moves_each_weight_by_its_share_along_its_gradient() -> None:
    first, second = nn.Linear(3, 4), nn.Linear(4, 2)
    model = nn.Sequential(first, second)
    slopes = [torch.randn_like(layer.weight) for layer in (first, second)]
    before = [p.detach().clone() for p in model.parameters()]
    loss = (first.weight * slopes[0]).sum() + (second.weight * slopes[1]).sum() + first.bias.sum()
    raised = raised_weights(model, loss, 0.03)
    assert sorted(raised) == ["0.weight", "1.weight"]
    for name, slope in zip(raised, slopes, strict=True):
        weight = model.get_parameter(name).detach()
        move = raised[name] - weight
        assert move.norm().item() == pytest.approx(0.03 * weight.norm().item(), rel=1e-5)
        assert torch.allclose(move / move.norm(), slope / slope.norm(), atol=1e-5)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))


def test_awp_trains_with_the_gradient_at_the_raised_weights() -> None:
    model = line([[3.0, 4.0]])
    raised = raised_weights(model, model.weight.square().sum() / 2, 0.1)  # whose gradient is w itself
    (raised["weight"].square().sum() / 2).backward()  # type: ignore[no-untyped-call]
    assert model.weight.grad is not None
    assert torch.allclose(model.weight.grad, 1.1 * model.weight)


def test_a_weight_without_a_gradient_stays() -> None:
    layer = nn.Linear(2, 2)
    raised = raised_weights(nn.Sequential(layer, nn.Linear(2, 2)), 0 * layer.weight.sum(), 0.1)
    assert torch.equal(raised["0.weight"], layer.weight)
    assert "1.weight" not in raised


def test_frozen_statistics_change_no_output_and_no_buffer() -> None:
    norm, x = nn.BatchNorm2d(3), torch.randn(5, 3, 4, 4)
    with frozen_statistics(norm):
        frozen = norm(x)
    assert norm.num_batches_tracked == 0
    assert norm.running_mean is not None
    assert norm.running_mean.tolist() == [0, 0, 0]
    assert torch.equal(frozen, norm(x))
    assert norm.num_batches_tracked == 1


def test_the_gradient_of_a_line_is_aligned_with_itself() -> None:
    model, x = line([[1.0, -2.0, 0.5], [0.0, 1.0, 1.5]]), torch.randn(16, 3)
    gap = misalignment(
        model, x, torch.arange(16) % 2, norm="linf", eps=2.0, generator=torch.Generator().manual_seed(0)
    )
    assert abs(gap.item()) < 1e-6


def bent(dtype: torch.dtype = torch.float64) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).to(dtype)


def gap_of(model: nn.Module, *, norm: Any = "linf", eps: float = 0.7) -> Tensor:
    x = torch.linspace(-1, 1, 20, dtype=torch.float64).view(5, 4)
    return misalignment(
        model, x, torch.arange(5) % 3, norm=norm, eps=eps, generator=torch.Generator().manual_seed(1)
    )


def test_misalignment_is_one_minus_the_mean_cosine() -> None:
    model, x = bent(), torch.linspace(-1, 1, 20, dtype=torch.float64).view(5, 4)
    eta = 0.7 * (2 * torch.rand(5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 1)
    cosines = []
    for i in range(5):
        rows = []
        for point in (x[i], x[i] + eta[i]):
            free = point.clone().requires_grad_()
            loss = -model(free[None]).log_softmax(1)[0, i % 3]
            rows.append(torch.autograd.grad(loss, free)[0].numpy())
        cosines.append(rows[0] @ rows[1] / np.linalg.norm(rows[0]) / np.linalg.norm(rows[1]))
    assert gap_of(model).item() == pytest.approx(1 - np.mean(cosines), rel=1e-9)
    assert 1 - np.mean(cosines) > 1e-3


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_gradient_of_misalignment_matches_finite_differences(norm: str) -> None:
    model = bent()
    gap_of(model, norm=norm).backward()  # type: ignore[no-untyped-call]
    for weight in (model[0].weight, model[2].weight, model[0].bias):
        assert isinstance(weight, nn.Parameter)
        assert weight.grad is not None
        place = (0,) * weight.dim()
        with torch.no_grad():
            values = []
            for step in (1e-5, -1e-5):
                kept = weight[place].item()
                weight[place] = kept + step
                values.append(gap_of(model, norm=norm).item())
                weight[place] = kept
        assert weight.grad[place].item() == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5)


def test_an_example_without_a_gradient_counts_neither_in_the_value_nor_in_the_slope() -> None:
    first = nn.Linear(2, 3)
    model = nn.Sequential(first, nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        first.weight.abs_()
        first.bias.zero_()
    x = torch.tensor([[-9.0, -9.0], [3.0, 1.0]])  # every unit is off at the first

    def gap(rows: slice) -> Tensor:
        return misalignment(
            model,
            x[rows],
            torch.tensor([0, 1])[rows],
            norm="linf",
            eps=1e-3,
            generator=torch.Generator().manual_seed(0),
        )

    assert gap(slice(0, 1)).item() == 0
    both = gap(slice(0, 2))
    both.backward()  # type: ignore[no-untyped-call]
    assert abs(both.item()) < 1e-6
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in model.parameters())


def test_attention_has_a_second_derivative() -> None:
    model = VisionTransformer([1, 8, 8], 3, width=8, depth=1, heads=2)
    gap = misalignment(
        model,
        torch.rand(4, 1, 8, 8),
        torch.arange(4) % 3,
        norm="linf",
        eps=0.3,
        generator=torch.Generator().manual_seed(0),
    )
    gap.backward()  # type: ignore[no-untyped-call]
    slopes = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert any("attention" in name or "qkv" in name for name in slopes)
    assert all(bool(slope.isfinite().all()) for slope in slopes.values())
    assert max(float(slope.abs().max()) for slope in slopes.values()) > 0
