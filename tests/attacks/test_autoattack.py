"""AutoAttack and its gradient parts: closed forms, budgets counted, invariance, precision, few classes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from planted_networks import labels_of
from torch import Tensor, nn
from torch.nn import functional

from raiaudit.attacks.evasion.base import prepared
from raiaudit.attacks.evasion.engine import network
from raiaudit.attacks.evasion.engine.balls import BALLS, project_l1
from raiaudit.attacks.evasion.engine.network import Network
from raiaudit.attacks.evasion.images.apgd import APGD, checkpoints
from raiaudit.attacks.evasion.images.ascents import Objective
from raiaudit.attacks.evasion.images.autoattack import AutoAttack
from raiaudit.attacks.evasion.images.losses import dlr, targeted_dlr
from raiaudit.attacks.spaces import ImageBox
from raiaudit.attacks.threats import Norm, ThreatModel

NORMS: list[Norm] = ["linf", "l2", "l1"]
DUAL = {"linf": 1, "l2": 2, "l1": torch.inf}


def minimal_of(world: Any, norm: Norm) -> Tensor:
    """Distance to the nearest boundary of the linear model in any norm."""
    logits, weight = world.model(world.x).detach(), world.model.layer.weight.detach()
    apart = (weight[world.y][:, None] - weight[None]).norm(p=DUAL[norm], dim=2)
    gap = logits.gather(1, world.y[:, None]) - logits
    nearest: Tensor = (gap / apart).masked_fill(apart == 0, torch.inf).amin(1)
    return nearest


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("objective", ["ce", "targeted"])
def test_apgd_reaches_the_closed_form_and_never_beats_it(
    objective: Objective, norm: Norm, linear_world: Any
) -> None:
    minimal_B = minimal_of(linear_world, norm)
    world, attack = linear_world, APGD(objective=objective, steps=60)
    # The cross-entropy of five classes mixes the directions to all of them; a target is one direction.
    above = 1.05 if objective == "targeted" or world.model.layer.out_features == 2 else 1.5
    for row in range(8):
        for factor, expected in ((0.999, False), (above, True)):
            result = attack(
                world.model,
                world.x[row : row + 1],
                world.y[row : row + 1],
                ThreatModel(norm, float(minimal_B[row]) * factor),
                space=world.space,
                seed=0,
            )
            assert bool(result.broken_B) is expected


@pytest.mark.parametrize("classes", [2, 3, 4, 12])
@pytest.mark.parametrize("norm", NORMS)
def test_autoattack_for_any_number_of_classes(norm: Norm, classes: int, linear: Any) -> None:
    model, space = linear(classes, seed=classes), ImageBox((1, 4, 4), -20.0, 20.0)
    x = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    world: Any = type("World", (), {"model": model, "x": x, "y": labels_of(model, x)})
    minimal_B = minimal_of(world, norm)
    attack = AutoAttack(version="screen")
    for row in range(len(x)):
        for factor, expected in ((0.999, False), (1.1, True)):
            threat = ThreatModel(norm, float(minimal_B[row]) * factor)
            result = attack(model, x[row : row + 1], world.y[row : row + 1], threat, space=space, seed=0)
            assert bool(result.broken_B) is expected


def test_feature_vectors_through_every_part() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(7, 16), nn.Tanh(), nn.Linear(16, 3))
    x = torch.rand(20, 7)
    y = labels_of(model, x)
    result = AutoAttack()(model, x, y, ThreatModel("linf", 0.2), space=ImageBox((7,)), seed=0)
    assert bool(result.broken_B.any())
    assert torch.equal(labels_of(model, result.adversarial) != y, result.broken_B)


def test_the_full_budget_of_a_survivor(counting: Any) -> None:
    """A constant model nobody can break pays for every step: the irreducible passes of the ensemble."""

    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1).sum(1, keepdim=True) * 1e-9 + torch.arange(10, 0, -1.0)

    counted = counting(Constant())
    x, y = torch.rand(2, 1, 5, 5), torch.zeros(2, dtype=torch.int64)
    attack = AutoAttack(skip_certified=False)
    result = attack(counted, x, y, ThreatModel("linf", 0.1), space=ImageBox((1, 5, 5)), seed=0)
    assert not bool(result.broken_B.any())
    assert counted.forwards == int(result.forwards_B.sum())
    assert counted.backwards == int(result.backwards_B.sum())
    forwards, backwards = int(result.forwards_B[0]), int(result.backwards_B[0])
    gradients = 100 + 9 * 100
    assert gradients + 9 * 100 <= backwards <= gradients + 9 * 101
    looks = 2 + 101 + 9 * 101 + 9 * 200 + 5000  # two clean looks, the parts
    assert looks <= forwards <= looks + 9 * 10


def test_who_broke_what_is_told(small_net: nn.Sequential, images: Tensor, box: ImageBox) -> None:
    y = labels_of(small_net, images)
    y[:4] = (y[:4] + 1) % 5
    result = AutoAttack()(small_net, images, y, ThreatModel("linf", 0.03), space=box, seed=0)
    for row, part in enumerate(result.found_by):
        assert (part is not None) == bool(result.broken_B[row])
    assert set(result.found_by[:4]) == {"clean"}
    assert set(result.found_by[4:]) <= {None, "apgd-ce", "apgd-t", "fab-t", "square"}
    assert bool((result.details["margin"][~result.broken_B] > 0).all())
    assert bool((result.details["margin"][result.broken_B] <= 0).all())
    assert bool((result.details["found_step"][result.broken_B] >= 0).all())


@pytest.mark.parametrize("norm", NORMS)
def test_the_ensemble_is_no_weaker_than_its_parts_and_nested_in_eps(
    norm: Norm, small_net: nn.Sequential, images: Tensor, box: ImageBox
) -> None:
    y = labels_of(small_net, images)
    radii = {"linf": (0.01, 0.03, 0.06), "l2": (0.1, 0.3, 0.6), "l1": (1.0, 3.0, 6.0)}[norm]
    broken = []
    for eps in radii:
        threat = ThreatModel(norm, eps)
        whole = AutoAttack(version="screen")(small_net, images, y, threat, space=box, seed=0).broken_B
        part = APGD(steps=20)(small_net, images, y, threat, space=box, seed=0).broken_B
        assert not bool((part & ~whole).any())
        broken.append(whole)
    for smaller, larger in pairwise(broken):
        assert not bool((smaller & ~larger).any())
    assert int(broken[1].sum()) > 0


def test_result_does_not_depend_on_batches_order_or_shards() -> None:
    # Small integers make every product and sum exact, so that batch size cannot move a last bit.
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 5))
    generator = torch.Generator().manual_seed(9)
    for parameter in model.parameters():
        parameter.data = torch.randint(-6, 7, parameter.shape, generator=generator).float()
    x = torch.rand(14, 1, 4, 4, generator=torch.Generator().manual_seed(5))
    y, ids = labels_of(model, x), torch.arange(14) * 1000
    threat, space = ThreatModel("linf", 0.06), ImageBox((1, 4, 4))

    def attack(rows: Tensor, batch_size: int) -> tuple[Tensor, ...]:
        result = APGD(objective="targeted", steps=12, batch_size=batch_size)(
            model, x[rows], y[rows], threat, space=space, seed=2, ids=ids[rows]
        )
        found = result.details["found_try"], result.details["found_step"]
        return result.adversarial, result.broken_B, *found

    whole = attack(torch.arange(14), 256)
    assert 0 < int(whole[1].sum()) < 14
    order = torch.randperm(14, generator=generator)
    for part, batch_size in ((order[:5], 3), (order[5:], 1), (order, 14), (order[:1], 100)):
        for ours, theirs in zip(attack(part, batch_size), whole, strict=True):
            torch.testing.assert_close(ours, theirs[part], rtol=0, atol=1e-6)


def test_dlr_is_blind_to_scale_and_shift_and_as_in_the_paper() -> None:
    logits_AK = torch.randn(50, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y_A = torch.arange(50) % 10
    target_A = (y_A + 3) % 10
    for row in range(50):
        z, y, t = logits_AK[row], int(y_A[row]), int(target_A[row])
        ranked = z.sort(descending=True).values
        other = max(float(z[k]) for k in range(10) if k != y)
        expected = -(z[y] - other) / (ranked[0] - ranked[2])
        targeted = -(z[y] - z[t]) / (ranked[0] - (ranked[2] + ranked[3]) / 2)
        assert float(dlr(logits_AK, y_A)[row]) == pytest.approx(float(expected))
        assert float(targeted_dlr(logits_AK, y_A, target_A)[row]) == pytest.approx(float(targeted))
    for scaled in (logits_AK * 1e-20, logits_AK * 1e6 + 3):
        torch.testing.assert_close(dlr(scaled, y_A), dlr(logits_AK, y_A))


def test_targeted_dlr_of_three_classes_has_a_slope_towards_each() -> None:
    logits_AK = torch.tensor([[3.0, 2.0, 1.0]] * 2, requires_grad=True)
    loss_A = targeted_dlr(logits_AK, torch.zeros(2, dtype=torch.int64), torch.tensor([1, 2]))
    (slope_AK,) = torch.autograd.grad(loss_A.sum(), logits_AK)
    assert bool((slope_AK.abs().amax(1) > 0.1).all())


def test_saturated_model_falls_to_dlr_not_to_cross_entropy(linear_world: Any) -> None:
    """Logits of 10⁶: the cross-entropy and its gradient are exactly zero, the difference of logits is not."""
    world = linear_world
    threat = ThreatModel("linf", 2 * float(world.minimal("linf").max()))

    class Saturated(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = world.model(x) * 1e6
            return logits

    ce = APGD(steps=10)(Saturated(), world.x, world.y, threat, space=world.space, seed=0)
    assert bool((ce.details["dead_gradients"] > 0).any())
    whole = AutoAttack(version="screen")(Saturated(), world.x, world.y, threat, space=world.space, seed=0)
    assert bool(whole.broken_B.all())


def test_checkpoints_of_the_paper() -> None:
    """p₁ = 0.22, then gaps that shrink by 0.03 down to 0.06 (in steps of a hundred)."""
    assert checkpoints(100)[:6] == (22, 41, 57, 70, 80, 87)
    assert all(0 < at < 7 for at in checkpoints(7))


def test_projection_onto_l1_ball_and_box() -> None:
    """Against bisection on the multiplier, row by row."""
    generator = torch.Generator().manual_seed(3)
    delta = torch.randn(200, 9, generator=generator, dtype=torch.float64)
    room = torch.rand(200, 9, generator=generator, dtype=torch.float64)
    for eps in (0.3, 1.5, 50.0):
        found = project_l1(delta, eps, room)
        for row in range(200):
            low, high = 0.0, 10.0
            for _ in range(80):
                level = (low + high) / 2
                size = (delta[row].abs() - level).clamp_min(0).minimum(room[row])
                low, high = (level, high) if float(size.sum()) > eps else (low, level)
            expected = delta[row].sign() * (delta[row].abs() - high).clamp_min(0).minimum(room[row])
            torch.testing.assert_close(found[row], expected, rtol=0, atol=1e-9)


def test_l1_ball_is_sampled_uniformly() -> None:
    """A uniform point of the d-ball has radius U^(1/d): its d-th power is uniform."""
    generator = torch.Generator().manual_seed(0)
    shape = (20_000, 3)
    points = BALLS["l1"].random(
        lambda: torch.rand(shape, generator=generator), lambda: torch.randn(shape, generator=generator), 1.0
    )
    power = points.abs().sum(1) ** 3
    assert float(power.max()) <= 1 + 1e-5
    assert float(power.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(power.var()) == pytest.approx(1 / 12, abs=0.004)
    for axis in range(3):
        assert float((points[:, axis] > 0).float().mean()) == pytest.approx(0.5, abs=0.015)
        assert float(points[:, axis].abs().mean()) == pytest.approx(0.25, abs=0.01)  # E = 1/(d + 1)


class Normed(nn.Module):
    """Convolutions with batch norms, one of them behind an activation, and a residual sum."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.one, self.two = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(6), nn.BatchNorm2d(6, affine=False), nn.BatchNorm2d(6)])
        self.head = nn.Linear(6 * 64, 10)
        for norm in self.norms:
            assert isinstance(norm, nn.BatchNorm2d)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            nn.init.normal_(norm.running_mean, std=0.3)
            nn.init.uniform_(norm.running_var, 0.3, 3.0)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.norms[0](self.one(x)))
        x = self.norms[2](functional.relu(x + self.norms[1](self.two(x))))
        logits: Tensor = self.head(x.flatten(1))
        return logits


def test_quicker_network_answers_the_same_and_leaves_the_model_alone(images: Tensor) -> None:
    model = Normed().eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    exact = model(images).detach()
    with prepared(model):
        quick = Network(model)
        trial = network._Trial(model, images, exact)
        (form,) = trial.forms("fp32")
        assert form.channels_last
        assert len(form.patches) == 2  # one norm is behind an activation and cannot be folded
        answers = form(model, images)
        torch.testing.assert_close(answers, exact, rtol=1e-4, atol=1e-5)
        assert not torch.equal(answers, exact)  # something was folded
        assert quick.quicken(images, exact) > 0
        torch.testing.assert_close(quick.search(images), exact, rtol=1e-4, atol=1e-5)
    assert "forward" not in model.norms[0].__dict__
    assert all(parameter.requires_grad for parameter in model.parameters())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert torch.equal(model(images), exact)


def test_compiled_network_answers_the_same(images: Tensor) -> None:
    model = Normed().eval()
    exact = model(images).detach()
    with prepared(model):
        quick = Network(model)
        quick.quicken(images, exact, compilation="on")
        for count in (40, 17, 3):
            x = images[:count].clone().requires_grad_()
            torch.testing.assert_close(quick.search(x), exact[:count], rtol=1e-4, atol=1e-5)
            (slope,) = torch.autograd.grad(quick.search(x).sum(), x)
            (expected,) = torch.autograd.grad(quick.exact(x).sum(), x)
            torch.testing.assert_close(slope, expected, rtol=1e-3, atol=1e-5)
    assert torch.equal(model(images), exact)


def test_a_fold_that_would_change_the_answers_is_given_up(images: Tensor) -> None:
    class Twice(Normed):
        """The first convolution's output is used before and after its norm."""

        def forward(self, x: Tensor) -> Tensor:
            x = self.one(x)
            logits: Tensor = self.head((x + self.norms[0](x)).flatten(1))
            return logits

    model = Twice().eval()
    exact = model(images).detach()
    forms = network._Trial(model, images, exact).forms("fp32")
    assert [len(form.patches) for form in forms] == [0]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_success_is_one_of_the_exact_network(precision: network.Precision, images: Tensor) -> None:
    model = Normed()
    x = images.repeat(3, 1, 1, 1)
    y = labels_of(model, x)
    threat, box = ThreatModel("linf", 0.05), ImageBox((1, 8, 8))
    attack = AutoAttack(version="screen", precision=precision, batch_size=32)
    result = attack(model, x, y, threat, space=box, seed=0)
    assert int(result.broken_B.sum()) > 0
    assert torch.equal(labels_of(model, result.adversarial) != y, result.broken_B)
    delta = (result.adversarial.double() - x.double()).abs().flatten(1).amax(1)
    assert float(delta.max()) <= 0.05


def test_low_precision_that_breaks_less_is_refused_by_the_gate(images: Tensor) -> None:
    """A trunk whose differences bfloat16 does not resolve: a search in it is blind, and the gate sees it."""
    torch.manual_seed(0)
    trunk, head = nn.Linear(64, 2, bias=False), nn.Linear(2, 2, bias=False)
    trunk.weight.data = 1 + 1e-4 * torch.randn(2, 64)
    head.weight.data = torch.eye(2)
    model = nn.Sequential(nn.Flatten(), trunk, head)
    y = labels_of(model, images)
    threat, box = ThreatModel("linf", 0.5), ImageBox((1, 8, 8))
    with prepared(model):
        blind = Network(model)
        blind.quicken(images, model(images), "bf16")
        assert blind.form[False].low
        assert blind.form[True].low
        assert float((blind.search(images)[:, 0] - blind.search(images)[:, 1]).abs().max()) == 0
    exact, gated = (
        AutoAttack(version="screen", precision=precision)(model, images, y, threat, space=box, seed=0)
        for precision in ("fp32", "bf16")
    )
    assert int(exact.broken_B.sum()) > 0
    assert torch.equal(exact.broken_B, gated.broken_B)


def test_random_answers_need_the_mean(images: Tensor, box: ImageBox) -> None:
    """Noise in front of a linear model: the attack on the mean of many answers moves it for good."""

    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(64, 3)

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.layer((x + 0.2 * torch.randn_like(x)).flatten(1))
            return logits

    torch.manual_seed(0)
    model = Noisy()
    with torch.no_grad():
        y = torch.stack([model(images).softmax(1) for _ in range(200)]).mean(0).argmax(1)
        result = AutoAttack(version="rand")(model, images, y, ThreatModel("linf", 0.3), space=box, seed=0)
        moved = torch.stack([model(result.adversarial).softmax(1) for _ in range(200)]).mean(0).argmax(1)
    assert int(result.broken_B.sum()) > 30
    assert float((moved != y)[result.broken_B].float().mean()) > 0.9


def test_certified_examples_are_not_attacked_further(linear_world: Any) -> None:
    world = linear_world
    minimal_B = world.minimal("linf")
    eps = float(minimal_B.sort().values[11:13].mean())  # on no example's own boundary
    result = AutoAttack()(world.model, world.x, world.y, ThreatModel("linf", eps), space=world.space, seed=0)
    certified_B = result.details["certified"]
    assert bool((certified_B ^ result.broken_B).all())
    assert torch.equal(result.broken_B, minimal_B <= eps)
    assert int(result.forwards_B[certified_B].max()) <= 1 + 101 + 4


def test_labels_say_what_is_not_autoattack() -> None:
    assert AutoAttack().label(ThreatModel("linf", 0.1)) == "AutoAttack standard"
    for attack, threat in (
        (AutoAttack(version="screen"), ThreatModel("linf", 0.1)),
        (AutoAttack(), ThreatModel("linf", 0.1, budget=500)),
    ):
        assert "not AutoAttack-equivalent" in attack.label(threat)


def test_what_stands_by_a_hair_is_begun_anew(linear: Any) -> None:
    """At nine tenths of the distance to a linear boundary a tenth of the margin is left; at half, a half."""
    model, space = linear(2, seed=3), ImageBox((1, 4, 4), -20.0, 20.0)
    x = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    world: Any = type("World", (), {"model": model, "x": x, "y": labels_of(model, x)})
    nearest = float(minimal_of(world, "linf")[0])
    spent = []
    for share in (0.5, 0.9):
        result = AutoAttack(skip_certified=False)(
            model, x[:1], world.y[:1], ThreatModel("linf", share * nearest), space=space, seed=0
        )
        left = result.details["margin"] / result.details["clean_margin"]
        torch.testing.assert_close(left, torch.tensor([1 - share]), rtol=1e-3, atol=0)
        spent.append((int(result.forwards_B), int(result.backwards_B)))
    assert spent[1][0] - spent[0][0] == 1 + 9 * 101  # a look at the clean input, and the looks of nine runs
    assert spent[1][1] - spent[0][1] == 9 * 100
