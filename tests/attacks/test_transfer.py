"""Transfer: closed forms of linear surrogates and targets, and who is asked how often."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raiaudit.attacks.evasion.base import AttackResult
from raiaudit.attacks.evasion.images.apgd import APGD
from raiaudit.attacks.evasion.images.attack import ImageAttack
from raiaudit.attacks.evasion.images.pgd import PGD
from raiaudit.attacks.evasion.images.square import Square
from raiaudit.attacks.evasion.images.transfer import Transfer
from raiaudit.attacks.spaces import ImageBox
from raiaudit.attacks.threats import Norm, ThreatModel
from raiaudit.errors import CapabilityError

NORMS: list[Norm] = ["linf", "l2"]
SPACE = ImageBox((1, 4, 4), -20.0, 20.0)


def plane(direction: Tensor, level: float) -> Any:
    """Class 0 above a plane, class 1 below it, as a classifier with gradients."""

    def classifier(x: Tensor) -> Tensor:
        height = x.flatten(1) @ direction - level
        return torch.stack([height, -height], dim=1)

    return classifier


@pytest.fixture
def world() -> tuple[Tensor, Tensor, Tensor]:
    """A unit direction, inputs one length above the plane at level 0, and their labels."""
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(16, generator=generator)
    direction /= direction.norm()
    x = torch.randn(10, 16, generator=generator)
    x += (1 - x @ direction)[:, None] * direction
    return direction, x.view(10, 1, 4, 4), torch.zeros(10, dtype=torch.int64)


@pytest.mark.parametrize("attack", [APGD(steps=10), PGD(steps=10, random_start=False)], ids=repr)
def test_goes_beyond_the_surrogates_boundary_to_that_of_the_target(attack: ImageAttack, world: Any) -> None:
    # The target's plane lies twice as far: what stops at the surrogate's is no error of the target.
    direction, x, y = world
    transfer = Transfer(surrogates=[plane(direction, 0.0)], attack=attack)
    for eps, broken in ((1.999, False), (2.02, True)):
        result = transfer(plane(direction, -1.0), x, y, ThreatModel("l2", eps), space=SPACE, seed=0)
        assert result.broken_B.tolist() == [broken] * 10
        assert float(result.norm_B.max()) <= eps
        assert torch.equal(plane(direction, -1.0)(result.adversarial).argmax(1) == 1, result.broken_B)


def test_surrogates_are_ascended_by_the_mean_of_their_logits(world: Any) -> None:
    # Each surrogate leans to a side of its own; together they point straight at the target's plane.
    direction, x, y = world
    lean = torch.randn(16, generator=torch.Generator().manual_seed(1))
    lean -= (lean @ direction) * direction
    left, right = plane(direction + lean, 0.0), plane(direction - lean, 0.0)
    target, threat, attack = plane(direction, 0.0), ThreatModel("l2", 1.02), APGD(steps=10)
    for surrogates, broken in (([left], False), ([right], False), ([left, right], True)):
        transfer = Transfer(surrogates=surrogates, attack=attack)
        result = transfer(target, x, y, threat, space=SPACE, seed=0)
        assert result.broken_B.tolist() == [broken] * 10


@pytest.mark.parametrize("norm", NORMS)
def test_the_target_is_asked_once_a_try_and_never_for_gradients(
    norm: Norm, small_net: nn.Sequential, images: Tensor, box: ImageBox, counting: Any
) -> None:
    with torch.no_grad():
        y = small_net.eval()(images).argmax(1)
    y[:4] = (y[:4] + 1) % 5
    target, surrogate = counting(small_net), counting(small_net)
    threat = ThreatModel(norm, {"linf": 0.05, "l2": 0.4}[norm], knowledge="label")
    transfer = Transfer(surrogates=[surrogate], attack=PGD(steps=6, restarts=2), batch_size=16)
    result = transfer(target, images, y, threat, space=box, seed=0)
    assert target.forwards == int(result.forwards_B.sum())
    assert target.backwards == int(result.backwards_B.sum()) == 0
    assert result.forwards_B[:4].tolist() == [1] * 4
    assert set(result.forwards_B[~result.broken_B].tolist()) == {3}
    assert 4 < int(result.broken_B.sum()) < 40
    assert surrogate.backwards > 0


def test_a_budget_is_kept(small_net: nn.Sequential, images: Tensor, box: ImageBox) -> None:
    y = torch.zeros(len(images), dtype=torch.int64)
    for budget in (1, 2, 3, 4):
        transfer = Transfer(surrogates=[small_net], attack=PGD(steps=3, restarts=5))
        result = transfer(small_net, images, y, ThreatModel("l2", 0.3, budget=budget), space=box, seed=0)
        assert int(result.forwards_B.max()) <= budget


def test_a_target_that_gives_labels_alone_is_enough(world: Any) -> None:
    direction, x, y = world

    def labels(inputs: Tensor) -> Tensor:
        with torch.no_grad():
            below = plane(direction, 0.0)(inputs).argmax(1)
        return nn.functional.one_hot(below, 2).float()

    transfer = Transfer(surrogates=[plane(direction, 0.0)])
    result = transfer(labels, x, y, ThreatModel("l2", 1.02, knowledge="label"), space=SPACE, seed=0)
    assert bool(result.broken_B.all())


@pytest.mark.parametrize("attack", [APGD(objective="targeted", steps=5, targets=3), PGD(steps=5)], ids=repr)
def test_invariant_to_batch_size_order_and_shard(
    attack: ImageAttack, small_net: nn.Sequential, images: Tensor, box: ImageBox
) -> None:
    with torch.no_grad():
        y = small_net.eval()(images).argmax(1)
    torch.manual_seed(1)
    other = nn.Sequential(nn.Flatten(), nn.Linear(64, 5))
    ids = torch.arange(40) * 9

    def tried(rows: list[int], batch_size: int) -> AttackResult:
        index = torch.tensor(rows)
        transfer = Transfer(surrogates=[other, small_net], attack=attack, batch_size=batch_size)
        threat = ThreatModel("linf", 0.05)
        return transfer(small_net, images[index], y[index], threat, space=box, seed=0, ids=ids[index])

    whole = tried(list(range(40)), 256)
    assert 0 < int(whole.broken_B.sum()) < 40
    for rows, batch_size in (([31, 2, 17], 2), (list(range(39, -1, -1)), 7)):
        part = tried(rows, batch_size)
        assert torch.equal(part.broken_B, whole.broken_B[rows])
        torch.testing.assert_close(part.adversarial, whole.adversarial[rows], rtol=0, atol=1e-5)


def test_models_are_left_as_they_were(small_net: nn.Sequential, images: Tensor, box: ImageBox) -> None:
    small_net.train()
    torch.manual_seed(1)
    target = nn.Sequential(nn.Flatten(), nn.Linear(64, 5))
    before = {name: value.clone() for name, value in small_net.state_dict().items()}
    y = torch.zeros(len(images), dtype=torch.int64)
    Transfer(surrogates=[small_net])(target, images, y, ThreatModel("linf", 0.1), space=box, seed=0)
    assert small_net.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in small_net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in small_net.state_dict().items())


def test_bad_input_is_named(world: Any) -> None:
    direction, x, y = world
    with pytest.raises(ValueError, match="surrogate"):
        Transfer(surrogates=[])
    with pytest.raises(ValueError, match="'square' does not ascend"):
        Transfer(surrogates=[plane(direction, 0.0)], attack=Square())

    def deaf(inputs: Tensor) -> Tensor:
        logits: Tensor = plane(direction, 0.0)(inputs)
        return logits.detach()

    with pytest.raises(CapabilityError, match="surrogate gives no gradient"):
        Transfer(surrogates=[deaf])(plane(direction, 0.0), x, y, ThreatModel("l2", 1.0), space=SPACE, seed=0)
