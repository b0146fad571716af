"""FGSM and PGD on the engine: closed forms, invariances, and the accounting of passes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_networks import labels_of
from torch import Tensor, nn

from raiaudit.attacks.evasion.base import AttackResult, EvasionAttack
from raiaudit.attacks.evasion.images.fgsm import FGSM
from raiaudit.attacks.evasion.images.hop_skip_jump import HopSkipJump
from raiaudit.attacks.evasion.images.pgd import PGD, perturb
from raiaudit.attacks.spaces import ImageBox, TokenSpace
from raiaudit.attacks.threats import Norm, ThreatModel
from raiaudit.errors import CapabilityError, UsageError

ATTACKS: list[EvasionAttack] = [
    FGSM(),
    PGD(steps=20),
    PGD(steps=20, random_start=False),
    PGD(steps=5, restarts=3),
]
NORMS: list[Norm] = ["linf", "l2"]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_linear_minimal_perturbation(attack: EvasionAttack, norm: Norm, linear_world: Any) -> None:
    world = linear_world
    minimal = world.minimal(norm)
    # With two classes the gradient points straight at the boundary, and only a random start has some of
    # its sideways part left. With more, the cross-entropy mixes the directions of the classes.
    exact = world.model.layer.out_features == 2
    above = 1.05 if exact and getattr(attack, "random_start", False) else 1.001 if exact else 1.5
    for row in range(8):
        eps = float(minimal[row])
        for factor, expected in ((0.999, False), (above, True)):
            if expected and not exact and isinstance(attack, FGSM):
                continue
            result = attack(
                world.model,
                world.x[row : row + 1],
                world.y[row : row + 1],
                ThreatModel(norm, eps * factor),
                space=world.space,
                seed=0,
            )
            assert bool(result.broken_B) is expected


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_results_lie_in_ball_and_box_and_are_broken(
    attack: EvasionAttack, norm: Norm, small_net: nn.Sequential, images: Tensor, box: ImageBox
) -> None:
    y = labels_of(small_net, images)
    eps = {"linf": 0.1, "l2": 0.8}[norm]
    result = attack(small_net, images, y, ThreatModel(norm, eps), space=box, seed=3)
    assert int(result.broken_B.sum()) > 0
    assert float(result.adversarial.min()) >= box.low
    assert float(result.adversarial.max()) <= box.high
    delta = (result.adversarial.double() - images.double()).flatten(1)
    norms = delta.abs().amax(1) if norm == "linf" else delta.norm(dim=1)
    assert float(norms.max()) <= eps
    torch.testing.assert_close(result.norm_B, norms.float())
    assert torch.equal(labels_of(small_net, result.adversarial) != y, result.broken_B)
    assert torch.equal(result.adversarial[~result.broken_B], images[~result.broken_B])


@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_eps_zero_breaks_clean_errors_only(
    attack: EvasionAttack, small_net: nn.Sequential, images: Tensor, box: ImageBox
) -> None:
    y = labels_of(small_net, images)
    y[::3] = (y[::3] + 1) % 5
    result = attack(small_net, images, y, ThreatModel("linf", 0.0), space=box, seed=0)
    assert torch.equal(result.adversarial, images)
    assert torch.equal(result.broken_B, labels_of(small_net, images) != y)
    assert float(result.norm_B.max()) == 0


@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_clean_errors_cost_one_forward(
    counting: Any, attack: EvasionAttack, small_net: nn.Sequential, images: Tensor, box: ImageBox
) -> None:
    y = (labels_of(small_net, images) + 1) % 5
    counted = counting(small_net)
    result = attack(counted, images, y, ThreatModel("linf", 0.1), space=box, seed=0)
    assert bool(result.broken_B.all())
    assert torch.equal(result.adversarial, images)
    assert (counted.forwards, counted.backwards) == (len(images), 0)
    assert result.forwards_B.tolist() == [1] * len(images)


def test_success_is_monotone_in_eps(linear_world: Any) -> None:
    world = linear_world
    curves = [
        PGD(steps=20)(
            world.model, world.x, world.y, ThreatModel("l2", eps), space=world.space, seed=0
        ).broken_B
        for eps in (0.0, 0.05, 0.1, 0.2, 0.5, 1.0, 4.0, 12.0)
    ]
    for smaller, larger in pairwise(curves):
        assert not bool((smaller & ~larger).any())
    assert not bool(curves[0].any())
    assert bool(curves[-1].all())


def test_passes_equal_what_the_model_saw(
    counting: Any, small_net: nn.Sequential, images: Tensor, box: ImageBox
) -> None:
    y = labels_of(small_net, images)
    y[:5] = (y[:5] + 1) % 5
    counted = counting(small_net)
    threat = ThreatModel("linf", 0.02)
    result = PGD(steps=7, restarts=2, batch_size=16)(counted, images, y, threat, space=box, seed=0)
    moved = result.broken_B & (result.norm_B > 0)
    assert 0 < int(moved.sum()) < len(images) - 5
    assert counted.forwards == int(result.forwards_B.sum())
    assert counted.backwards >= int(result.backwards_B.sum())
    standing = ~result.broken_B
    # One clean look, then two restarts of 7 steps, each with a last look that needs no gradient.
    assert set(result.forwards_B[standing].tolist()) == {1 + 2 * 8}
    assert set(result.backwards_B[standing].tolist()) == {2 * 7}
    # One at a time nobody rides along: backwards are exact too.
    alone = counting(small_net)
    single = PGD(steps=7, restarts=2, batch_size=1)(alone, images, y, threat, space=box, seed=0)
    assert (alone.forwards, alone.backwards) == (int(single.forwards_B.sum()), int(single.backwards_B.sum()))
    assert max(alone.batches) == 1


def test_fgsm_costs_two_forwards_and_one_backward(counting: Any, linear_world: Any) -> None:
    world = linear_world
    counted = counting(world.model)
    FGSM()(counted, world.x, world.y, ThreatModel("linf", 1e-6), space=world.space, seed=0)
    assert (counted.forwards, counted.backwards) == (2 * len(world.x), len(world.x))


@pytest.mark.parametrize("budget", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("eps", [1e-4, 0.1])
def test_budget_caps_forwards(
    budget: int, eps: float, small_net: nn.Sequential, images: Tensor, box: ImageBox
) -> None:
    y = labels_of(small_net, images)
    for attack in ATTACKS:
        result = attack(small_net, images, y, ThreatModel("linf", eps, budget=budget), space=box, seed=0)
        assert int(result.forwards_B.max()) <= budget


def rows_of(result: AttackResult, rows: Any) -> tuple[Tensor, ...]:
    return (
        result.adversarial[rows],
        result.broken_B[rows],
        result.norm_B[rows],
        result.forwards_B[rows],
        result.backwards_B[rows],
    )


@settings(max_examples=25, deadline=None)
@given(
    order=st.permutations(range(12)),
    cut=st.integers(0, 12),
    batch_size=st.integers(1, 13),
    norm=st.sampled_from(NORMS),
    restarts=st.integers(1, 2),
)
def test_invariant_to_batch_size_order_and_shard(
    order: list[int], cut: int, batch_size: int, norm: Norm, restarts: int
) -> None:
    # Small integers make every product and sum exact, so that batch size cannot move a last bit.
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    generator = torch.Generator().manual_seed(9)
    for parameter in model.parameters():
        parameter.data = torch.randint(-6, 7, parameter.shape, generator=generator).float()
    x = torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(5))
    y = labels_of(model, x)
    ids = torch.arange(12) * 1000
    threat = ThreatModel(norm, {"linf": 0.08, "l2": 0.3}[norm])
    space = ImageBox((1, 4, 4))

    def attack(rows: list[int], batch: int) -> AttackResult:
        index = torch.tensor(rows, dtype=torch.int64)
        pgd = PGD(steps=4, restarts=restarts, batch_size=batch)
        return pgd(model, x[index], y[index], threat, space=space, seed=2, ids=ids[index])

    whole = attack(list(range(12)), 256)
    for part in (order[:cut], order[cut:]):
        for ours, theirs in zip(
            rows_of(attack(part, batch_size), slice(None)), rows_of(whole, part), strict=True
        ):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_starts_differ_between_restarts_and_seeds(
    small_net: nn.Sequential, images: Tensor, box: ImageBox
) -> None:
    y = labels_of(small_net, images)
    threat = ThreatModel("linf", 0.3)
    one, same, other = (
        PGD(steps=1)(small_net, images, y, threat, space=box, seed=seed).adversarial for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_compaction_equals_one_at_a_time(small_net: nn.Sequential, images: Tensor, box: ImageBox) -> None:
    y = labels_of(small_net, images)
    threat = ThreatModel("l2", 0.6)
    together = PGD(steps=6, batch_size=8)(small_net, images, y, threat, space=box, seed=0)
    assert 0 < int(together.broken_B.sum()) < len(images)
    for row in range(len(images)):
        alone = PGD(steps=6)(
            small_net, images[row : row + 1], y[row : row + 1], threat, space=box, seed=0, ids=[row]
        )
        assert bool(alone.broken_B[0]) == bool(together.broken_B[row])
        torch.testing.assert_close(alone.adversarial[0], together.adversarial[row], rtol=0, atol=1e-5)


@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_model_is_left_as_it_was(
    attack: EvasionAttack, small_net: nn.Sequential, images: Tensor, box: ImageBox
) -> None:
    y = labels_of(small_net, images)
    small_net.train()
    small_net[0].eval()
    small_net[0].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in small_net.state_dict().items()}
    attack(small_net, images, y, ThreatModel("linf", 0.1), space=box, seed=0)
    assert [module.training for module in small_net] == [False] + [True] * 7
    assert not small_net[0].weight.requires_grad
    assert small_net[1].bias.requires_grad
    assert all(parameter.grad is None for parameter in small_net.parameters())
    for name, value in small_net.state_dict().items():
        assert torch.equal(value, before[name])


class Odd(nn.Module):
    """A model whose gradient is `kind`: zero everywhere, or NaN."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        total = x.flatten(1).sum(1)
        # The derivative of sqrt at 0 is infinite; times zero it is NaN.
        odd = (total * 0) if self.kind == "zero" else (total * 0).sqrt()
        return torch.stack([odd + 1, odd * 0], dim=1)


@pytest.mark.parametrize("kind", ["zero", "nan"])
@pytest.mark.parametrize("norm", NORMS)
def test_zero_and_nan_gradients_do_not_crash(kind: str, norm: Norm, images: Tensor, box: ImageBox) -> None:
    y = torch.zeros(len(images), dtype=torch.int64)
    for attack in ATTACKS:
        result = attack(Odd(kind), images, y, ThreatModel(norm, 0.1), space=box, seed=0)
        assert not bool(result.broken_B.any())
        assert bool(result.adversarial.isfinite().all())


@pytest.mark.parametrize("norm", NORMS)
def test_tiny_gradients_still_point_the_way(linear: Any, norm: Norm, linear_world: Any) -> None:
    """Logits scaled by 1e-25: squares of the gradient underflow float32, its direction must not."""
    world = linear_world
    faint = linear(world.model.layer.out_features, seed=world.model.layer.out_features, scale=1e-25)
    eps = 1.3 * float(world.minimal(norm).max())
    result = PGD(steps=20)(faint, world.x, world.y, ThreatModel(norm, eps), space=world.space, seed=0)
    assert bool(result.broken_B.all())


class Fickle(nn.Module):
    """Errs only in batches of exactly `size` rows, as a last-bit artefact of batching would."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        total = x.flatten(1).sum(1) * 1e-3
        moved = (x != 0.5).flatten(1).any(1)
        wrong = moved & (len(x) == self.size)
        return torch.stack([1 - 2 * wrong + total, total * 0], dim=1)


def test_success_that_does_not_hold_at_another_batch_size_is_not_reported(box: ImageBox) -> None:
    x = torch.full((8, 1, 8, 8), 0.5)
    y = torch.zeros(8, dtype=torch.int64)
    result = PGD(steps=3, batch_size=8)(Fickle(8), x, y, ThreatModel("linf", 0.1), space=box, seed=0)
    assert not bool(result.broken_B.any())
    assert torch.equal(result.adversarial, x)


def test_bad_input_is_named(linear_world: Any, box: ImageBox) -> None:
    model, x, y, space = linear_world.model, linear_world.x, linear_world.y, linear_world.space
    pgd, threat = PGD(steps=2), ThreatModel("linf", 0.1)
    with pytest.raises(UsageError, match="no norm 'l1'"):
        pgd(model, x, y, ThreatModel("l1", 0.1), space=space, seed=0)
    with pytest.raises(UsageError, match="TokenSpace"):
        pgd(model, x, y, threat, space=TokenSpace(10, 10), seed=0)
    with pytest.raises(UsageError, match="int64"):
        pgd(model, x, y.float(), threat, space=space, seed=0)
    with pytest.raises(UsageError, match="leave the box"):
        pgd(model, x * 2, y, threat, space=box, seed=0)
    with pytest.raises(UsageError, match="NaN"):
        pgd(model, x * torch.nan, y, threat, space=space, seed=0)
    with pytest.raises(CapabilityError, match="no gradient"):
        pgd(lambda inputs: model(inputs).detach(), x, y, threat, space=space, seed=0)
    with pytest.raises(CapabilityError, match="NaN to a clean input"):
        pgd(lambda inputs: model(inputs) * torch.nan, x, y, threat, space=space, seed=0)
    with pytest.raises(UsageError, match="labels from 7 to 9, and"):
        pgd(model, x[:3], torch.tensor([7, 8, 9]), threat, space=space, seed=0)
    with pytest.raises(UsageError, match=r"the shape \[24, 1\]"):
        pgd(lambda inputs: model(inputs)[:, :1], x, y, threat, space=space, seed=0)
    with pytest.raises(ValueError, match="restarts"):
        PGD(restarts=2, random_start=False)


@pytest.mark.parametrize("attack", [PGD(steps=3, batch_size=4), HopSkipJump(steps=1, batch_size=4)])
def test_one_input_answered_by_nan_ends_nothing(attack: EvasionAttack, linear_world: Any) -> None:
    """The ninth of nine is alone in its batch: an error of the model, as it would be among others."""
    world = linear_world
    x, y, bad = world.x[:9], world.y[:9], world.x[8]

    def answers(inputs: Tensor) -> Tensor:
        is_bad_B = (inputs == bad).flatten(1).all(1)
        logits: Tensor = world.model(inputs).masked_fill(is_bad_B[:, None], torch.nan)
        return logits

    found = attack(answers, x, y, ThreatModel("l2", 1e-6), space=world.space, seed=0)
    assert found.broken_B.tolist() == [False] * 8 + [True]


def test_no_examples(box: ImageBox) -> None:
    result = PGD()(
        Odd("zero"),
        torch.empty(0, 1, 8, 8),
        torch.empty(0, dtype=torch.int64),
        ThreatModel("l2", 0.1),
        space=box,
        seed=0,
    )
    assert len(result.broken_B) == 0


@pytest.mark.parametrize("norm", NORMS)
def test_perturb_reaches_the_closed_form(norm: Norm, linear_world: Any) -> None:
    world = linear_world
    eps = 1.5 * float(world.minimal(norm).max())
    arguments: dict[str, Any] = {"norm": norm, "eps": eps, "step_size": eps / 4, "steps": 10}
    arguments |= {"low": -20.0, "high": 20.0}
    moved = perturb(world.model, world.x, world.y, **arguments, generator=torch.Generator().manual_seed(0))
    again = perturb(world.model, world.x, world.y, **arguments, generator=torch.Generator().manual_seed(0))
    assert torch.equal(moved, again)
    assert not moved.requires_grad
    assert bool((world.model(moved).argmax(1) != world.y).all())
    delta = (moved.double() - world.x.double()).flatten(1)
    assert float((delta.abs().amax(1) if norm == "linf" else delta.norm(dim=1)).max()) <= eps * (1 + 1e-5)
    assert world.model.layer.weight.grad is None
