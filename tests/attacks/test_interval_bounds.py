"""Interval bounds: exact where the network is linear, never broken where it is not."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from raiaudit.attacks.certificates import CERTIFICATES, certify
from raiaudit.attacks.certificates.interval_bounds import Bounds, IntervalBounds
from raiaudit.attacks.certificates.intervals import Interval
from raiaudit.attacks.evasion.images.pgd import PGD
from raiaudit.attacks.evasion.tables.feasible import FeasibleRows, reachable_box
from raiaudit.attacks.spaces import Column, ImageBox, TableSchema, TokenSpace
from raiaudit.attacks.threats import Norm, ThreatModel
from raiaudit.errors import CapabilityError, UsageError
from raiaudit.models.architectures import build


class Residual(nn.Module):
    """Every layer that has bounds, an in-place activation beside a shortcut included."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((1, 1, 1), 0.4))
        self.stem = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6))
        self.act = nn.ReLU(inplace=True)
        self.body = nn.Sequential(nn.Conv2d(6, 6, 3, padding="same", groups=2), nn.Dropout(0.3))
        self.pools = nn.Sequential(nn.MaxPool2d(2), nn.AvgPool2d(2, padding=1), nn.AdaptiveAvgPool2d(2))
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(24, 12), nn.BatchNorm1d(12), nn.ReLU())
        self.last = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem((x - self.mean) / 0.3)  # type: ignore[operator]  # a buffer is a tensor
        h = functional.relu(self.body(self.act(1.0 - 0.5 * h)) + h)
        logits: Tensor = self.last(self.head(self.pools(h)))
        return logits


def residual(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = Residual()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features) * 0.5
            module.running_var = torch.rand(module.num_features) + 0.2
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return model.eval()


def cnn(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return build("cnn", {"shape": [1, 8, 8], "classes": 4, "norm": "none", "width": 4}).eval()


def resnet(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return build("resnet18", {"shape": [1, 8, 8], "classes": 4, "width": 4}).eval()


def mlp(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return build("mlp", {"shape": [1, 8, 8], "classes": 4, "hidden": 16}).eval()


NETWORKS = pytest.mark.parametrize("make", [residual, cnn, resnet, mlp])


def gaps(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """min over k ≠ y of z_y − z_k, as the float32 network answers."""
    logits = model(x).detach().double()
    gap_B: Tensor = (logits.gather(1, y[:, None]) - logits).scatter(1, y[:, None], torch.inf).amin(1)
    return gap_B


def test_a_linear_model_is_certified_up_to_its_exact_minimum(linear_world: Any) -> None:
    minimal = linear_world.minimal("linf")
    for row in range(len(minimal)):
        x, y = linear_world.x[row : row + 1], linear_world.y[row : row + 1]
        # A little is kept back for the rounding of float32, which tells at the smallest of radii.
        for factor, back, expected in ((0.999, 1e-5, True), (1.001, 0.0, False)):
            eps = max(0.0, float(minimal[row]) * factor - back)
            assert bool(certify(linear_world.model, x, y, space=linear_world.space, eps=eps)) is expected
    found = IntervalBounds(limit=20.0)(linear_world.model, linear_world.x, space=linear_world.space, seed=0)
    assert torch.equal(found.predicted_B, linear_world.y)
    torch.testing.assert_close(found.radius_B, minimal.double(), rtol=1e-3, atol=2e-3)
    assert bool((found.radius_B <= minimal * (1 + 1e-6)).all())


def test_other_norms_are_certified_through_their_box(linear_world: Any) -> None:
    """Sound, not exact: never beyond the minimum of the norm, and at least as far as L∞ reaches."""
    space, x, y = linear_world.space, linear_world.x, linear_world.y
    linf, l2 = linear_world.minimal("linf"), linear_world.minimal("l2")
    found = CERTIFICATES["interval"](norm="l2", limit=20.0)(linear_world.model, x, space=space, seed=0)
    assert bool((found.radius_B <= l2 * (1 + 1e-6)).all())
    torch.testing.assert_close(found.radius_B, linf.double(), rtol=1e-3, atol=2e-3)
    assert torch.equal(
        certify(linear_world.model, x, y, space=space, eps=0.05, norm="l1"),
        certify(linear_world.model, x, y, space=space, eps=0.05),
    )


def test_the_box_of_valid_values_is_used() -> None:
    """Pixels at 0 cannot fall: a model that errs only below 0 is safe at any radius."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    model[1].weight.data = torch.tensor([[1.0] * 4, [0.0] * 4])
    model[1].bias.data = torch.tensor([0.1, 0.0])
    x, y = torch.zeros(1, 1, 2, 2), torch.tensor([0])
    assert bool(certify(model, x, y, space=ImageBox((1, 2, 2)), eps=1.0))
    assert not bool(certify(model, x, y, space=ImageBox((1, 2, 2), low=-1.0), eps=1.0))


@NETWORKS
@pytest.mark.parametrize("eps", [0.0, 1e-6, 1e-3, 0.05])
def test_bounds_hold_at_every_sampled_point(make: Callable[[int], nn.Module], eps: float) -> None:
    """At the smallest radii it is float32's own rounding that would break them."""
    generator = torch.Generator().manual_seed(7)
    for seed in range(3):
        model = make(seed)
        x = torch.rand(12, 1, 8, 8, generator=generator)
        bounds = Bounds(model)
        for label in range(4):
            y = torch.full((12,), label)
            box = Interval((x.double() - eps).clamp(0, 1), (x.double() + eps).clamp(0, 1))
            with torch.no_grad():
                low_B = bounds.margin(box, y)
            for draw in range(6):
                noise = torch.rand(x.shape, generator=generator) * 2 - 1
                noise = noise.sign() if draw % 2 else noise
                moved = (x + eps * noise).clamp(0, 1).double()
                moved = moved.maximum(box.low).minimum(box.high).float()
                assert bool((low_B <= gaps(model, moved, y)).all())
            if eps == 0:
                torch.testing.assert_close(low_B, gaps(model, x, y), atol=0.05, rtol=0.01)


def test_a_folded_network_is_within_the_bounds_too() -> None:
    """Batch norm folded into its convolution rounds elsewhere."""
    for seed in range(5):
        model = residual(seed)
        assert isinstance(model, Residual)
        x = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
        y = model(x).argmax(1)
        with torch.no_grad():
            low_B = Bounds(model).margin(Interval(x.double(), x.double()), y)
            convolution, norm = model.stem
            assert isinstance(convolution, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            model.stem = nn.Sequential(fuse_conv_bn_eval(convolution, norm))
        assert bool((low_B <= gaps(model, x, y)).all())


@NETWORKS
def test_pgd_never_breaks_a_certified_example(make: Callable[[int], nn.Module]) -> None:
    model, space = make(1), ImageBox((1, 8, 8))
    x = torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    y = model(x).argmax(1)
    radius_B = IntervalBounds(limit=0.5)(model, x, space=space, seed=0).radius_B
    for quantile in (0.2, 0.6, 0.9):
        eps = float(radius_B.quantile(quantile))
        held = certify(model, x, y, space=space, eps=eps)
        assert bool((held >= (radius_B >= eps)).all())
        assert bool((held <= (radius_B >= eps - 0.5 * 2**-14)).all())
        result = PGD(steps=10, restarts=2)(model, x, y, ThreatModel("linf", eps), space=space, seed=0)
        assert not bool((result.broken_B & held).any())
    assert float(radius_B.max()) > 0


def test_certified_radii_do_not_depend_on_the_batch() -> None:
    model, space = cnn(0), ImageBox((1, 8, 8))
    x = torch.rand(9, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    whole = IntervalBounds()(model, x, space=space, seed=0)
    split = IntervalBounds(batch_size=2)(model, x, space=space, seed=0)
    torch.testing.assert_close(split.radius_B, whole.radius_B, atol=2**-14, rtol=0)


class Product(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) * x.flatten(1)


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) if bool(x.sum() > 0) else -x.flatten(1)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (nn.Sequential(nn.Flatten(), nn.Tanh()), "1: interval bounds do not know the layer Tanh"),
        (
            build("cnn", {"shape": [1, 8, 8], "classes": 2}),
            r"features.1: interval bounds do not know the layer GroupNorm",
        ),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")), "padding 'reflect'"),
        (nn.Sequential(nn.Flatten(), nn.Softmax(1)), "Softmax"),
        (Product(), "product of two activations"),
        (Branching(), "cannot trace Branching"),
        (lambda x: x.flatten(1), "not a callable"),
    ],
)
def test_what_has_no_bounds_is_named(model: Any, says: str) -> None:
    x, y = torch.rand(2, 1, 8, 8), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(CapabilityError, match=says):
        certify(model, x, y, space=ImageBox((1, 8, 8)), eps=0.1)


def test_a_space_or_norm_without_a_box_is_refused() -> None:
    x, y = torch.rand(2, 1, 8, 8), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(UsageError, match="no box for norm 'l0'"):
        certify(mlp(0), x, y, space=ImageBox((1, 8, 8)), eps=1.0, norm="l0")
    with pytest.raises(UsageError, match="TokenSpace"):
        certify(mlp(0), x, y, space=TokenSpace(9, 9), eps=1.0)


TABLE = TableSchema(
    (
        Column("age", "integer", 0, 6, monotone="increasing", cost=0.5),
        Column("sex", "category", categories=("f", "m"), mutable=False),
        Column("job", "category", categories=("a", "b", "c"), cost=0.7),
        Column("children", "integer", 0, 4, cost=2.0),
    )
)


@pytest.mark.parametrize("norm", ["l1", "linf"])
@pytest.mark.parametrize("eps", [0.0, 0.2, 0.5, 0.7, 1.0, 1.5])
def test_the_box_of_a_table_is_the_smallest_around_all_reachable_rows(norm: Norm, eps: float) -> None:
    """Whole numbers and categories only, so that every row can be listed."""
    every = torch.stack(
        [
            torch.cat([torch.tensor([float(a)]), torch.eye(2)[s], torch.eye(3)[j], torch.tensor([float(c)])])
            for a, s, j, c in itertools.product(range(7), range(2), range(3), range(5))
        ]
    )
    low, high = reachable_box(TABLE, norm, every, torch.full((len(every),), eps, dtype=torch.float64))
    reach = FeasibleRows(TABLE, norm, eps, every.device)
    for row in range(0, len(every), 7):
        inside = every[reach.contains(every, every[row].expand_as(every))].double()
        torch.testing.assert_close(inside.amin(0), low[row])
        torch.testing.assert_close(inside.amax(0), high[row])


def test_a_linear_model_of_real_columns_has_a_closed_form() -> None:
    """Each column moves eps ranges, only its way and within its bounds."""
    generator = torch.Generator().manual_seed(1)
    schema = TableSchema(
        tuple(
            Column(f"{i}", "real", -100.0, 100.0 + i, monotone=("none", "increasing", "decreasing")[i % 3])
            for i in range(6)
        )
    )
    weight = torch.randn(6, generator=generator)
    model = nn.Linear(6, 2)
    model.weight.data, model.bias.data = torch.stack([torch.zeros(6), weight]), torch.zeros(2)
    x = torch.randn(10, 6, generator=generator)
    ranges = torch.tensor([200.0 + i for i in range(6)])
    found = IntervalBounds(halvings=30)(model, x, space=schema, seed=0)
    for row in range(10):
        score = float(x[row] @ weight)
        towards = -1.0 if score > 0 else 1.0
        slope = weight * towards
        allowed = torch.tensor([(i % 3 == 0) or ((slope[i] > 0) == (i % 3 == 1)) for i in range(6)])
        exact = abs(score) / float((slope.abs() * ranges)[allowed].sum())
        assert float(found.radius_B[row]) == pytest.approx(exact, rel=1e-3)
