"""Foolbox's attacks behind the guards, and foolbox's PGD as a second opinion on ours."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import foolbox
import numpy as np
import pytest
import torch
from planted_networks import labels_of
from torch import Tensor, nn

from raiaudit.attacks.evasion import EVASION
from raiaudit.attacks.evasion.base import EvasionAttack
from raiaudit.attacks.evasion.foolbox.adapter import FoolboxAttack
from raiaudit.attacks.evasion.foolbox.attacks import (
    EAD,
    BlendedNoise,
    Boundary,
    ContrastReduction,
    GenAttack,
    Inversion,
    NewtonFool,
    SaltAndPepper,
    VirtualAdversarial,
)
from raiaudit.attacks.evasion.images.pgd import PGD
from raiaudit.attacks.spaces import ImageBox
from raiaudit.attacks.threats import Knowledge, Norm, ThreatModel
from raiaudit.errors import UsageError

# How far above the closed-form minimum the median example may end: the Boundary attack's walk is cut short,
# the elastic net also minds the L2 norm.
MINIMAL = [(Boundary(steps=1500), "l2", 1.5), (EAD(steps=100), "l1", 1.5)]
# What no attack may undercut, and these do not come near.
FLOORS = [
    (NewtonFool(), "l2"),
    (SaltAndPepper(steps=200), "l2"),
    (SaltAndPepper(steps=200), "l1"),
    (BlendedNoise(steps=100), "linf"),
    (ContrastReduction(), "l2"),
    (Inversion(), "l2"),
]
QUICK: list[EvasionAttack] = [NewtonFool(steps=20), Boundary(steps=40), SaltAndPepper(steps=20)]
UNBOUNDED = float("inf")


def minimal_of(world: Any, norm: Norm) -> Tensor:
    if norm != "l1":
        distance: Tensor = world.minimal(norm)
        return distance
    logits, weight = world.model(world.x).detach(), world.model.layer.weight.detach()
    gap = logits.gather(1, world.y[:, None]) - logits
    steepest = (weight[world.y][:, None] - weight[None]).abs().amax(2)
    nearest: Tensor = (gap / steepest).masked_fill(steepest == 0, torch.inf).amin(1)
    return nearest


@pytest.mark.parametrize(("attack", "norm", "slack"), MINIMAL, ids=lambda value: getattr(value, "name", None))
def test_linear_minimal_perturbation(
    attack: EvasionAttack, norm: Norm, slack: float, linear_world: Any
) -> None:
    world = linear_world
    minimal = minimal_of(world, norm)
    space = ImageBox((1, 4, 4), -4.0, 5.0)
    result = attack(world.model, world.x, world.y, ThreatModel(norm, UNBOUNDED), space=space, seed=0)
    assert bool(result.broken_B.all())
    ratio = result.norm_B / minimal
    assert float(ratio.min()) >= 0.9999
    assert float(ratio.median()) <= slack
    # At a finite eps the same perturbations are judged, not sought anew.
    eps = 1.0001 * float(result.norm_B.median())
    judged = attack(world.model, world.x, world.y, ThreatModel(norm, eps), space=space, seed=0)
    assert torch.equal(judged.broken_B, result.norm_B <= eps)


@pytest.mark.parametrize(
    ("attack", "norm"), FLOORS, ids=lambda value: getattr(value, "name", None) or str(value)
)
def test_nothing_undercuts_the_closed_form(attack: EvasionAttack, norm: Norm, linear_world: Any) -> None:
    world = linear_world
    space = ImageBox((1, 4, 4), -4.0, 5.0)
    result = attack(world.model, world.x, world.y, ThreatModel(norm, UNBOUNDED), space=space, seed=0)
    ratio = result.norm_B / minimal_of(world, norm)
    assert bool((ratio[result.broken_B] >= 0.9999).all())
    assert torch.equal(world.model(result.adversarial).argmax(1) != world.y, result.broken_B)


def test_contrast_reduction_stops_at_the_boundary(linear: Any) -> None:
    # The line from x to mid-grey g meets the boundary of a two-class linear model where the gap is 0.
    model = linear(2, seed=3)
    x = torch.rand(64, 1, 4, 4, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        model.layer.bias[0] -= (model(x)[:, 0] - model(x)[:, 1]).median()
    y = model(x).argmax(1)
    grey = torch.full_like(x, 0.5)
    gap, gap_grey = (pair[:, 0] - pair[:, 1] for pair in (model(x).detach(), model(grey).detach()))
    crosses = gap.sign() != gap_grey.sign()
    assert 5 < int(crosses.sum()) < 64
    distance = (gap / (gap - gap_grey)) * (grey - x).flatten(1).norm(dim=1)
    result = ContrastReduction()(model, x, y, ThreatModel("l2", UNBOUNDED), space=ImageBox((1, 4, 4)), seed=0)
    assert torch.equal(result.broken_B, crosses)
    torch.testing.assert_close(result.norm_B[crosses], distance[crosses], rtol=0.02, atol=1e-4)


def test_gen_attack_keeps_to_a_box_that_is_not_the_unit_box(linear_world: Any) -> None:
    # Foolbox clips to [0, 1]: images at 2 to 3 would be thrown two units off.
    world = linear_world
    x = world.x + 2
    y = world.model(x).argmax(1)
    logits, weight = world.model(x).detach(), world.model.layer.weight.detach()
    gap = logits.gather(1, y[:, None]) - logits
    dual = (weight[y][:, None] - weight[None]).abs().sum(2)
    minimal = (gap / dual).masked_fill(dual == 0, torch.inf).amin(1)
    eps = 2 * float(minimal.median())
    before = np.random.get_state(legacy=False)["state"]["key"].copy()
    results = [
        GenAttack(steps=40)(
            world.model, x, y, ThreatModel("linf", eps), space=ImageBox((1, 4, 4), -4.0, 5.0), seed=0
        )
        for _ in range(2)
    ]
    result = results[0]
    assert int(result.broken_B.sum()) >= int((minimal < eps / 2).sum()) / 2 > 0
    assert not bool(result.broken_B[minimal > eps].any())
    assert float(result.norm_B.max()) <= eps
    assert torch.equal(world.model(result.adversarial).argmax(1) != y, result.broken_B)
    assert torch.equal(result.adversarial, results[1].adversarial)
    assert bool((np.random.get_state(legacy=False)["state"]["key"] == before).all())


def test_an_attack_within_eps_stops_when_all_are_broken(linear: Any) -> None:
    model = linear(5, seed=5)
    x = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    y = model(x).argmax(1)
    result = GenAttack(steps=1000)(model, x, y, ThreatModel("linf", 0.9), space=ImageBox((1, 4, 4)), seed=0)
    assert bool(result.broken_B.all())
    assert int(result.forwards_B.max()) < 1000  # of ten thousand


def test_virtual_adversarial_direction_is_the_normal_of_the_boundary(linear: Any) -> None:
    # Two linear classes: the divergence is steepest along ±w, so an example falls if the sign falls right.
    model = linear(2, seed=2)
    x = torch.rand(64, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    logits = model(x).detach()
    y = logits.argmax(1)
    weight = model.layer.weight.detach()
    minimal = (logits[:, 0] - logits[:, 1]).abs() / (weight[0] - weight[1]).norm()
    eps = float(minimal.median())
    space = ImageBox((1, 4, 4), -20.0, 20.0)
    result = VirtualAdversarial()(model, x, y, ThreatModel("l2", eps), space=space, seed=0)
    within = minimal <= eps * 0.999
    assert not bool(result.broken_B[minimal > eps].any())
    assert 0.25 < float(result.broken_B[within].float().mean()) < 0.75
    assert float(result.norm_B.max()) <= eps


def test_an_attack_within_eps_needs_an_eps(images: Tensor, box: ImageBox) -> None:
    y = torch.zeros(len(images), dtype=torch.int64)
    with pytest.raises(UsageError, match="finite eps"):
        GenAttack()(Unbreakable(), images, y, ThreatModel("linf", UNBOUNDED), space=box, seed=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted(FoolboxAttack):
    """Returns the point that `move` makes of the clean input, and nothing else."""

    name: ClassVar[str] = "planted"
    norms: ClassVar[frozenset[Norm]] = frozenset({"linf", "l2"})
    knowledge: ClassVar[Knowledge] = "white"

    move: Callable[[Tensor], Tensor]

    def build(self, norm: Norm) -> Any:
        return self

    def run(self, model: Any, x: Tensor, criterion: Any) -> Tensor:
        return self.move(x)


def test_what_errs_by_a_rounding_is_pushed_until_it_errs_clearly(linear: Any) -> None:
    model = linear(2, seed=2)
    x = torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    logits = model(x).detach()
    y = logits.argmax(1)
    weight = model.layer.weight.detach()
    normal = (weight[1] - weight[0]).double()
    gap = (logits[:, 0] - logits[:, 1]).double()

    def onto_the_boundary(x: Tensor) -> Tensor:
        step = gap[:, None] * normal / normal.dot(normal)
        moved: Tensor = x.flatten(1) + step * (1 + 1e-7)
        return moved.float().view_as(x)

    space = ImageBox((1, 4, 4), -20.0, 20.0)
    result = Planted(move=onto_the_boundary)(model, x, y, ThreatModel("l2", UNBOUNDED), space=space, seed=0)
    minimal = (gap.abs() / normal.norm()).float()
    found = result.broken_B
    assert int(found.sum()) > 15  # some of these roundings fall on the right side: no error to be found
    assert bool((result.norm_B[found] <= minimal[found] * 1.011).all())
    one_by_one = torch.cat([model(row[None]) for row in result.adversarial]).detach()
    margin = one_by_one.gather(1, y[:, None])[:, 0] - one_by_one.gather(1, 1 - y[:, None])[:, 0]
    assert bool((margin[found] <= -0.9e-5 * one_by_one[found].abs().amax(1)).all())


def test_a_point_outside_the_box_is_asked_about_and_kept_within_it(linear: Any) -> None:
    model = linear(2, seed=2)
    x = torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    y = model(x).argmax(1)
    weight = model.layer.weight.detach()
    away = (weight[1] - weight[0]).sign().view(1, 1, 4, 4)
    toward = torch.where(y == 0, 1.0, -1.0).view(-1, 1, 1, 1)
    result = Planted(move=lambda x: x + 3 * toward * away)(
        model, x, y, ThreatModel("linf", UNBOUNDED), space=ImageBox((1, 4, 4)), seed=0
    )
    corner = (x + 3 * toward * away).clamp(0, 1)
    assert torch.equal(result.broken_B, model(corner).argmax(1) != y)
    assert bool(result.broken_B.any())
    assert 0 <= float(result.adversarial.min()) <= float(result.adversarial.max()) <= 1


@pytest.mark.parametrize("attack", QUICK, ids=lambda attack: attack.name)
def test_clean_errors_are_not_attacked_and_nothing_of_the_model_changes(
    attack: EvasionAttack, small_net: nn.Sequential, images: Tensor, box: ImageBox, counting: Any
) -> None:
    y = labels_of(small_net, images)
    y[:7] = (y[:7] + 1) % 5
    small_net.train()
    before = {name: value.clone() for name, value in small_net.state_dict().items()}
    counted = counting(small_net)
    result = attack(counted, images, y, ThreatModel("l2", 1.0), space=box, seed=0)
    assert result.forwards_B[:7].tolist() == [1] * 7
    assert bool(result.broken_B[:7].all())
    assert torch.equal(result.adversarial[:7], images[:7])
    assert counted.forwards == int(result.forwards_B.sum())
    assert counted.backwards == int(result.backwards_B.sum())
    assert small_net.training
    assert all(parameter.grad is None and parameter.requires_grad for parameter in small_net.parameters())
    for name, value in small_net.state_dict().items():
        assert torch.equal(value, before[name])
    # What is claimed is so: label, box and norm, looked at from outside.
    wrong = labels_of(small_net, result.adversarial) != y
    assert bool(wrong[result.broken_B].all())
    assert box.low <= float(result.adversarial.min()) <= float(result.adversarial.max()) <= box.high
    norm = (result.adversarial.double() - images.double()).flatten(1).norm(dim=1)
    torch.testing.assert_close(norm.float(), result.norm_B)
    assert bool((result.norm_B[result.broken_B] <= 1.0).all())


class Unbreakable(nn.Module):
    """Always class 0."""

    def forward(self, x: Tensor) -> Tensor:
        total = x.flatten(1).sum(1)
        return torch.stack([total * 0 + 1, total * 0], dim=1)


@pytest.mark.parametrize("attack", QUICK, ids=lambda attack: attack.name)
def test_nothing_to_find_is_no_error(attack: EvasionAttack, images: Tensor, box: ImageBox) -> None:
    y = torch.zeros(len(images), dtype=torch.int64)
    result = attack(Unbreakable(), images, y, ThreatModel("l2", UNBOUNDED), space=box, seed=0)
    assert not bool(result.broken_B.any())
    assert torch.equal(result.adversarial, images)
    assert float(result.norm_B.max()) == 0


class Treacherous(nn.Module):
    """Raises whenever the example marked by a first pixel of exactly 0.125 is put through a gradient."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        if x.requires_grad and bool((x[:, 0, 0, 0] == 0.125).any()):
            raise RuntimeError("planted")
        logits: Tensor = self.model(x)
        return logits


def test_a_failing_example_takes_down_only_itself(
    small_net: nn.Sequential, images: Tensor, box: ImageBox, caplog: pytest.LogCaptureFixture
) -> None:
    images[3, 0, 0, 0] = 0.125
    y = labels_of(small_net, images)
    healthy = NewtonFool()(small_net, images, y, ThreatModel("l2", UNBOUNDED), space=box, seed=0)
    result = NewtonFool()(Treacherous(small_net), images, y, ThreatModel("l2", UNBOUNDED), space=box, seed=0)
    others = torch.arange(len(images)) != 3
    assert not bool(result.broken_B[3])
    assert torch.equal(result.broken_B[others], healthy.broken_B[others])
    torch.testing.assert_close(result.norm_B[others], healthy.norm_B[others], rtol=1e-3, atol=1e-4)
    assert "example 3" in caplog.text


def test_budget_and_clock_stop_an_attack_that_keeps_what_it_had(
    small_net: nn.Sequential, images: Tensor, box: ImageBox
) -> None:
    y = labels_of(small_net, images)
    capped = Boundary()(small_net, images, y, ThreatModel("l2", UNBOUNDED, budget=60), space=box, seed=0)
    assert int(capped.forwards_B.max()) <= 60
    assert float(capped.broken_B.float().mean()) > 0.5
    began = time.monotonic()
    timed = Boundary(seconds=1.0)(small_net, images, y, ThreatModel("l2", UNBOUNDED), space=box, seed=0)
    assert time.monotonic() - began < 10
    assert float(timed.broken_B.float().mean()) > 0.5


def test_same_seed_same_result(small_net: nn.Sequential, images: Tensor, box: ImageBox) -> None:
    y = labels_of(small_net, images)
    before = torch.random.get_rng_state()
    one, two, other = (
        Boundary(steps=30)(
            small_net, images, y, ThreatModel("l2", UNBOUNDED), space=box, seed=seed
        ).adversarial
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.03), ("l2", 0.35)])
def test_our_pgd_is_no_weaker_than_foolbox(
    norm: Norm, eps: float, small_net: nn.Sequential, images: Tensor, box: ImageBox
) -> None:
    small_net.eval()
    y = labels_of(small_net, images)
    ours = PGD(steps=20)(small_net, images, y, ThreatModel(norm, eps), space=box, seed=0)
    table = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}
    model = foolbox.PyTorchModel(small_net, bounds=(0, 1), device="cpu")
    torch.manual_seed(0)
    _, _, theirs = table[norm](steps=20, rel_stepsize=2.5 / 20)(model, images, y, epsilons=eps)
    assert 0 < int(theirs.sum()) < len(images)
    assert int(ours.broken_B.sum()) >= int(theirs.sum())
    assert int((theirs & ~ours.broken_B).sum()) <= 1


def test_catalogue_says_what_the_attacks_say() -> None:
    import raiaudit.attacks.evasion as room

    assert room.__doc__ is not None
    lines = [line for line in room.__doc__.splitlines() if line.startswith("    ")]
    listed = {line.split()[0]: line for line in lines[1:]}
    assert set(listed) == set(EVASION)
    for name, make in EVASION.items():
        attack = make()
        assert attack.name == name
        for fact in (attack.modality, attack.knowledge, *attack.norms):
            assert fact in listed[name]


def test_unknown_norm_is_named(images: Tensor, box: ImageBox) -> None:
    y = torch.zeros(len(images), dtype=torch.int64)
    with pytest.raises(UsageError, match="no norm 'linf'"):
        NewtonFool()(Unbreakable(), images, y, ThreatModel("linf", 0.1), space=box, seed=0)
