"""Foolbox's attacks behind the guards, and foolbox's PGD as a second opinion on ours."""

from __future__ import annotations

import time
from typing import Any

import foolbox
import pytest
import torch
from torch import Tensor, nn

from raiaudit.attacks.evasion import EVASION
from raiaudit.attacks.evasion.base import EvasionAttack
from raiaudit.attacks.evasion.foolbox_attacks import Boundary, BrendelBethge, NewtonFool
from raiaudit.attacks.evasion.pgd import PGD
from raiaudit.attacks.spaces import ImageBox
from raiaudit.attacks.threats import Norm, ThreatModel
from raiaudit.errors import UsageError

# How far above the closed-form minimum the median example may end: the Boundary attack's walk is cut short.
MINIMAL = [(Boundary(steps=1500), "l2", 1.5)]
QUICK: list[EvasionAttack] = [NewtonFool(steps=20), Boundary(steps=40)]
UNBOUNDED = float("inf")


def labels_of(model: nn.Module, x: Tensor) -> Tensor:
    mode = model.training
    with torch.no_grad():
        labels: Tensor = model.eval()(x).argmax(1)
    model.train(mode)
    return labels


@pytest.mark.parametrize(("attack", "norm", "slack"), MINIMAL, ids=lambda value: getattr(value, "name", None))
def test_linear_minimal_perturbation(
    attack: EvasionAttack, norm: Norm, slack: float, linear_world: Any
) -> None:
    world = linear_world
    minimal = world.minimal(norm)
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


@pytest.mark.slow
def test_brendel_bethge_on_a_linear_model(linear_world: Any) -> None:
    world = linear_world
    space = ImageBox((1, 4, 4), -4.0, 5.0)
    x, y = world.x[:6], world.y[:6]
    result = BrendelBethge(steps=300)(world.model, x, y, ThreatModel("l2", UNBOUNDED), space=space, seed=0)
    ratio = result.norm_B / world.minimal("l2")[:6]
    assert bool(result.broken_B.all())
    assert 0.9999 <= float(ratio.min()) <= float(ratio.median()) <= 1.01


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
