"""What is wrong with the peers must not be wrong with ours: each known defect, planted.

Elsewhere: GenAttack's clipping and errors by a rounding (test_foolbox_adapter), Brendel & Bethge's endless
loops (test_foolbox_process), one image or word at a time (test_corruptions*, test_smoothing, test_hotflip),
AutoAttack's budget counted (test_autoattack), windows that differ between examples (test_square).
"""

from __future__ import annotations

import time
from typing import Any

import foolbox
import pytest
import torch
from torch import Tensor, nn

from raiaudit.attacks.evasion import EVASION
from raiaudit.attacks.evasion.base import EvasionAttack
from raiaudit.attacks.evasion.foolbox.attacks import Boundary, NewtonFool
from raiaudit.attacks.evasion.images.apgd import APGD
from raiaudit.attacks.evasion.images.autoattack import VERSIONS, AutoAttack
from raiaudit.attacks.evasion.images.fab import FAB
from raiaudit.attacks.evasion.images.fmn import FMN
from raiaudit.attacks.evasion.images.hop_skip_jump import HopSkipJump
from raiaudit.attacks.evasion.images.pgd import PGD
from raiaudit.attacks.evasion.images.square import Square
from raiaudit.attacks.spaces import ImageBox
from raiaudit.attacks.threats import Norm, ThreatModel

UNBOUNDED = float("inf")

CHEAP: dict[str, dict[str, int]] = {
    "pgd": {"steps": 5},
    "mi_fgsm": {"steps": 5},
    "apgd": {"steps": 5},
    "fab": {"steps": 5},
    "fmn": {"steps": 10},
    "ddn": {"steps": 10},
    "deepfool": {"steps": 5},
    "cw": {"steps": 20, "rounds": 2},
    "hop_skip_jump": {"steps": 3},
    "boundary": {"steps": 30},
    "ead": {"steps": 20, "binary_search_steps": 2},
    "newton_fool": {"steps": 5},
    "gen_attack": {"steps": 5},
    "salt_and_pepper": {"steps": 20},
    "blended_noise": {"steps": 20},
    "square": {"steps": 100},
}
COMPILED = {"brendel_bethge"}  # a minute to compile: its own tests are slow ones


def image_attacks() -> list[EvasionAttack]:
    """Every image attack of the catalogue, on few steps (AutoAttack as `screen`)."""
    made = []
    for name, make in EVASION.items():
        attack = make(version="screen") if name == "autoattack" else make(**CHEAP.get(name, {}))
        if attack.modality == "image" and name not in COMPILED:
            made.append(attack)
    return made


IMAGE_ATTACKS = image_attacks()
EVERY_IMAGE_ATTACK = pytest.mark.parametrize("attack", IMAGE_ATTACKS, ids=lambda attack: attack.name)


def norm_of(attack: EvasionAttack) -> Norm:
    return "l2" if "l2" in attack.norms else min(attack.norms)


class Shell(nn.Module):
    """Errs (class 1) only where the mean is within 0.012 of 0.6, towards which its gradient points."""

    def forward(self, x: Tensor) -> Tensor:
        off_B = (x.flatten(1).mean(1) - 0.6).abs()
        return torch.stack([off_B, torch.full_like(off_B, 0.012)], dim=1)


def test_the_first_success_counts_not_the_last_iterate() -> None:
    """foolbox, ART: success is judged at the last iterate only."""
    x = torch.full((3, 1, 4, 4), 0.5)
    y = torch.zeros(3, dtype=torch.int64)
    # Steps of 0.03 visit 0.59, then jump over the shell and back for ever; the sixth ends outside.
    attack = foolbox.attacks.LinfPGD(steps=6, abs_stepsize=0.03, random_start=False)
    model = foolbox.PyTorchModel(Shell().eval(), bounds=(0, 1), device="cpu")
    assert not bool(attack(model, x, y, epsilons=0.2)[2].any())  # the defect is there to be avoided
    ours = PGD(steps=6, step_size=0.03, random_start=False)(
        Shell(), x, y, ThreatModel("linf", 0.2), space=ImageBox((1, 4, 4)), seed=0
    )
    assert bool(ours.broken_B.all())
    torch.testing.assert_close(ours.adversarial, torch.full_like(x, 0.59))


def test_what_is_broken_costs_nothing_more(linear: Any, counting: Any) -> None:
    """foolbox, torchattacks: no early exit; ART: two forwards a step."""
    model = counting(linear(5, seed=5))
    x = torch.rand(16, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    y = model(x).argmax(1)
    model.forwards = 0
    space = ImageBox((1, 4, 4), -20.0, 20.0)
    broken = PGD(steps=100)(model, x, y, ThreatModel("linf", 8.0), space=space, seed=0)
    assert bool(broken.broken_B.all())
    assert int(broken.forwards_B.max()) < 30  # of a hundred and more
    assert model.forwards == int(broken.forwards_B.sum())
    standing = PGD(steps=100)(model, x, y, ThreatModel("linf", 1e-6), space=space, seed=0)
    assert not bool(standing.broken_B.any())
    assert (int(standing.forwards_B.max()), int(standing.backwards_B.max())) == (102, 100)


@EVERY_IMAGE_ATTACK
def test_clean_errors_are_not_attacked(attack: EvasionAttack, linear: Any, counting: Any) -> None:
    """torchattacks: clean errors are attacked anyway."""
    model = linear(5, seed=5)
    x = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    y = (model(x).argmax(1) + 1) % 5
    counted = counting(model)
    result = attack(counted, x, y, ThreatModel(norm_of(attack), 0.5), space=ImageBox((1, 4, 4)), seed=0)
    assert bool(result.broken_B.all())
    assert torch.equal(result.adversarial, x)
    assert result.norm_B.tolist() == [0.0] * 8
    assert result.forwards_B.tolist() == [1] * 8
    assert counted.backwards == 0


@EVERY_IMAGE_ATTACK
def test_any_box_is_kept(attack: EvasionAttack, linear: Any) -> None:
    """foolbox: HopSkipJump and GenAttack clip to [0, 1], whatever the bounds, and hang with others."""
    model = linear(5, seed=5)
    x = 2 + torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    y = model(x).argmax(1)
    began = time.monotonic()
    result = attack(
        model, x, y, ThreatModel(norm_of(attack), 0.9), space=ImageBox((1, 4, 4), 2.0, 3.0), seed=0
    )
    assert time.monotonic() - began < 60
    assert 2 <= float(result.adversarial.min()) <= float(result.adversarial.max()) <= 3
    assert bool((result.norm_B[result.broken_B] <= 0.9).all())
    assert torch.equal(model(result.adversarial).argmax(1) != y, result.norm_B > 0)


@EVERY_IMAGE_ATTACK
def test_the_model_is_left_as_it_was(
    attack: EvasionAttack, small_net: nn.Sequential, images: Tensor, box: ImageBox
) -> None:
    """foolbox: `.grad` of the weights is polluted; torchattacks: the mode is set and kept."""
    small_net.eval()
    y = small_net(images[:6]).argmax(1)
    small_net.train()
    small_net[3].eval()  # a mixed mode is the caller's business, and comes back mixed
    before = {name: value.clone() for name, value in small_net.state_dict().items()}
    attack(small_net, images[:6], y, ThreatModel(norm_of(attack), 0.3), space=box, seed=0)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in small_net.parameters())
    assert [module.training for module in small_net.children()] == [True] * 3 + [False] + [True] * 4
    assert all(torch.equal(value, before[name]) for name, value in small_net.state_dict().items())


class Bright(nn.Module):
    """Class 0 unless the image is all but black: every noise is class 0."""

    def forward(self, x: Tensor) -> Tensor:
        mean_B = x.flatten(1).mean(1)
        return torch.stack([mean_B, torch.full_like(mean_B, 1e-4)], dim=1)


@pytest.mark.parametrize("attack", [HopSkipJump(steps=3), Boundary(steps=30)], ids=lambda attack: attack.name)
def test_one_example_without_a_start_does_not_abort_the_batch(attack: EvasionAttack) -> None:
    """foolbox: one failed initialisation raises for the whole batch."""
    x = torch.zeros(3, 1, 4, 4)
    x[1] = 0.5
    y = torch.tensor([1, 0, 1])
    result = attack(Bright(), x, y, ThreatModel("l2", UNBOUNDED), space=ImageBox((1, 4, 4)), seed=0)
    assert result.broken_B.tolist() == [True, False, True]
    assert torch.equal(result.adversarial[1], x[1])


def test_an_example_does_not_depend_on_its_company(linear: Any) -> None:
    """foolbox: HopSkipJump normalises its estimate over the whole batch."""
    model = linear(5, seed=5)
    x = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    x[1:] *= 100  # company at another distance from everything
    y = model(x).argmax(1)
    space, threat = ImageBox((1, 4, 4), -100.0, 100.0), ThreatModel("l2", UNBOUNDED)
    attack = HopSkipJump(steps=5)
    alone = attack(model, x[:1], y[:1], threat, space=space, seed=0)
    together = attack(model, x, y, threat, space=space, seed=0)
    torch.testing.assert_close(together.norm_B[:1], alone.norm_B)
    assert torch.equal(together.forwards_B[:1], alone.forwards_B)


def test_foolbox_is_told_the_device(linear: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """foolbox: `PyTorchModel(device=None)` moves the model to cuda:0 wherever there is one."""
    model = linear(2, seed=2)
    x = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    y = model(x).argmax(1)
    asked: list[object] = []

    def device_for(wanted: object) -> torch.device:
        asked.append(wanted)
        return x.device

    monkeypatch.setattr("foolbox.models.pytorch.get_device", device_for)
    foolbox.PyTorchModel(model.eval(), bounds=(0, 1))
    assert asked == [None]  # the defect is there to be avoided
    NewtonFool(steps=2)(model, x, y, ThreatModel("l2", 1.0), space=ImageBox((1, 4, 4)), seed=0)
    assert asked[1:] == [x.device]


def test_l0_takes_a_finite_eps(linear: Any) -> None:
    """foolbox: the L0 attack works with `epsilons=None` alone."""
    model = linear(5, seed=5)
    x = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    y = model(x).argmax(1)
    result = FMN(steps=50)(model, x, y, ThreatModel("l0", 3), space=ImageBox((1, 4, 4), -20.0, 20.0), seed=0)
    assert bool(result.broken_B.any())
    assert torch.equal((result.adversarial != x).flatten(1).sum(1).float(), result.norm_B)
    assert float(result.norm_B[result.broken_B].max()) <= 3


def test_the_standard_is_a_hundred_steps_and_less_is_called_less() -> None:
    """torchattacks: its "AutoAttack" takes ten steps (.657 where a hundred find .647)."""
    parts = VERSIONS["standard"]
    assert [part.name for part in parts] == ["apgd", "apgd", "fab", "square"]
    for part in parts[:3]:
        assert isinstance(part, APGD | FAB)
        assert part.steps == 100
    assert isinstance(parts[3], Square)
    assert parts[3].steps == 5000
    full = ThreatModel("linf", 0.1)
    assert AutoAttack().label(full) == "AutoAttack standard"
    for less in (
        AutoAttack(version="screen").label(full),
        AutoAttack().label(ThreatModel("linf", 0.1, budget=50)),
    ):
        assert "not AutoAttack-equivalent" in less


@pytest.mark.parametrize("classes", [2, 3])
def test_fewer_than_four_classes(classes: int, linear: Any) -> None:
    """The reference AutoAttack crashes below four classes."""
    model = linear(classes, seed=classes)
    x = torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    logits, weight = model(x).detach(), model.layer.weight.detach()
    y = logits.argmax(1)
    dual = (weight[y][:, None] - weight[None]).abs().sum(2)
    minimal = ((logits.gather(1, y[:, None]) - logits) / dual).masked_fill(dual == 0, torch.inf).amin(1)
    space = ImageBox((1, 4, 4), -20.0, 20.0)
    eps = float(minimal.sort().values[5:7].mean())  # half of them are nearer
    result = AutoAttack(version="screen")(model, x, y, ThreatModel("linf", eps), space=space, seed=0)
    assert torch.equal(result.broken_B, minimal < eps)


def test_square_takes_feature_vectors(linear: Any) -> None:
    """The reference Square crashes on two-dimensional, tabular input."""
    model = linear(2, seed=2)
    x = torch.rand(12, 16, generator=torch.Generator().manual_seed(1))
    y = model(x).argmax(1)
    result = Square(steps=200)(
        model, x, y, ThreatModel("linf", 4.0), space=ImageBox((16,), -20.0, 20.0), seed=0
    )
    assert result.adversarial.shape == x.shape
    assert bool(result.broken_B.all())


class Corner(nn.Module):
    """Errs only where the last value of the image is above 0.6."""

    def forward(self, x: Tensor) -> Tensor:
        last_B = x.flatten(1)[:, -1]
        return torch.stack([0.6 - last_B, last_B - 0.6], dim=1)


def test_square_reaches_the_last_row_and_column() -> None:
    """The reference draws its windows short of the last row and column once they are one pixel wide."""
    x = torch.full((24, 1, 6, 6), 0.5)
    y = torch.zeros(24, dtype=torch.int64)
    space, threat = ImageBox((1, 6, 6)), ThreatModel("linf", 0.2)
    start = Square(steps=1)(Corner(), x, y, threat, space=space, seed=0)
    assert not bool(start.broken_B.all())  # the first stripes leave some corners dark
    result = Square(steps=500)(Corner(), x, y, threat, space=space, seed=0)
    assert bool(result.broken_B.all())
    assert len({tuple(row.flatten().tolist()) for row in result.adversarial}) > 1  # windows of their own
