"""HopSkipJump: a linear model's closed form from labels alone, budgets, the same result in any company."""

from __future__ import annotations

from typing import Any

import foolbox
import pytest
import torch
from torch import Tensor, nn

from raiaudit.attacks.evasion.base import AttackResult
from raiaudit.attacks.evasion.images.hop_skip_jump import HopSkipJump
from raiaudit.attacks.spaces import ImageBox
from raiaudit.attacks.threats import Norm, ThreatModel
from raiaudit.errors import CapabilityError

NORMS: list[Norm] = ["linf", "l2"]


def only_labels(classifier: Any) -> Any:
    """What a box that names a class gives: one-hot rows."""

    def labels(x: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = classifier(x)
        return nn.functional.one_hot(logits.argmax(1), logits.shape[1]).float()

    return labels


@pytest.mark.parametrize("norm", NORMS)
def test_norms_come_near_the_closed_form(norm: Norm, linear_world: Any) -> None:
    world = linear_world
    space = ImageBox(world.space.shape, -3.0, 4.0)
    threat = ThreatModel(norm, torch.inf, knowledge="label")
    result = HopSkipJump(steps=15)(only_labels(world.model), world.x, world.y, threat, space=space, seed=0)
    ratio = result.norm_B / world.minimal(norm)
    assert bool(result.broken_B.all())
    assert float(ratio.min()) >= 1 - 1e-5
    assert float(ratio.median()) <= 1.03
    if world.model.layer.out_features == 2:  # with more, the nearest error may lie behind another class
        assert float(ratio.max()) <= 1.05


def boxed(shape: tuple[int, ...], low: float, high: float) -> tuple[Any, Tensor, Tensor, Tensor]:
    """A plane through a box: its labels, inputs near its middle, their L2 and L∞ distances to it."""
    generator = torch.Generator().manual_seed(len(shape))
    normal = torch.randn(*shape, generator=generator).flatten()
    x = low + (high - low) * (0.4 + 0.2 * torch.rand(6, *shape, generator=generator))
    height = x.flatten(1) @ normal
    level = height.min() - 0.03 * (high - low) * normal.abs().sum()

    def classifier(inputs: Tensor) -> Tensor:
        above = inputs.flatten(1) @ normal > level
        return torch.stack([above, ~above], dim=1).float()

    away = height - level
    return classifier, x, away / normal.norm(), away / normal.abs().sum()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("shape", "low", "high"),
    [
        ((1, 6, 6), 0.0, 1.0),
        ((3, 5, 7), -1.0, 1.0),
        ((3, 6, 6), 0.0, 255.0),
        ((2, 4, 4), -0.002, 0.003),
        ((20,), -1.0, 1.0),
        ((1,), 0.0, 1.0),
    ],
    ids=str,
)
def test_any_box_and_any_shape(norm: Norm, shape: tuple[int, ...], low: float, high: float) -> None:
    classifier, x, l2, linf = boxed(shape, low, high)
    seen: list[Tensor] = []

    def watched(inputs: Tensor) -> Tensor:
        seen.append(torch.stack([inputs.min(), inputs.max()]))
        answer: Tensor = classifier(inputs)
        return answer

    y = torch.zeros(6, dtype=torch.int64)
    threat = ThreatModel(norm, torch.inf)
    result = HopSkipJump(steps=12)(watched, x, y, threat, space=ImageBox(shape, low, high), seed=0)
    extremes = torch.stack(seen)
    assert bool(extremes.min() >= low)
    assert bool(extremes.max() <= high)
    assert bool(result.broken_B.all())
    ratio = result.norm_B / (l2 if norm == "l2" else linf)
    assert float(ratio.min()) >= 1 - 1e-4
    assert float(ratio.max()) <= 1.2


@pytest.mark.parametrize("norm", NORMS)
def test_broken_means_within_eps_and_queries_are_told(norm: Norm) -> None:
    classifier, x, l2, linf = boxed((3, 5, 5), 0.0, 1.0)
    y = torch.zeros(6, dtype=torch.int64)
    minimal = l2 if norm == "l2" else linf
    eps = float(minimal.median())
    space, attack = ImageBox((3, 5, 5)), HopSkipJump(steps=8)
    result = attack(classifier, x, y, ThreatModel(norm, eps), space=space, seed=0)
    assert torch.equal(result.broken_B, result.norm_B <= eps)
    assert 0 < int(result.broken_B.sum()) < 6
    assert bool((result.norm_B > 0).all())  # what lies beyond eps is returned as well
    assert torch.equal(classifier(result.adversarial).argmax(1), torch.ones(6, dtype=torch.int64))
    told = result.details["forwards_to_break"]
    assert torch.equal(told >= 0, result.broken_B)

    seen: list[Tensor] = []

    def watched(inputs: Tensor) -> Tensor:
        seen.append(inputs.clone())
        answer: Tensor = classifier(inputs)
        return answer

    row = int(result.broken_B.nonzero()[0])
    attack(watched, x[row : row + 1], y[:1], ThreatModel(norm, eps), space=space, seed=0, ids=[row])
    query = torch.cat(seen)[int(told[row]) - 1]
    delta = query - x[row]
    assert float(delta.abs().max() if norm == "linf" else delta.norm()) <= eps
    assert bool(classifier(query[None])[0, 1])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("budget", [None, 1, 2, 3, 8, 40, 137, 700])
def test_queries_equal_what_the_model_saw(
    norm: Norm, budget: int | None, small_net: nn.Sequential, images: Tensor, box: ImageBox, counting: Any
) -> None:
    with torch.no_grad():
        y = small_net.eval()(images).argmax(1)
    y[:5] = (y[:5] + 1) % 5
    counted = counting(small_net)
    threat = ThreatModel(norm, 0.3, knowledge="label", budget=budget)
    result = HopSkipJump(steps=3, starts=4, batch_size=16)(counted, images, y, threat, space=box, seed=0)
    assert counted.forwards == int(result.forwards_B.sum())
    assert counted.backwards == 0
    assert max(counted.batches) <= 16
    assert result.forwards_B[:5].tolist() == [1] * 5
    assert result.norm_B[:5].tolist() == [0] * 5
    if budget is not None:
        assert int(result.forwards_B.max()) <= budget
    if budget == 137:  # enough for a round, and all of it is used where it has not ended
        assert int(result.forwards_B.max()) > 100


def test_more_queries_never_hurt(small_net: nn.Sequential, images: Tensor, box: ImageBox) -> None:
    with torch.no_grad():
        y = small_net.eval()(images).argmax(1)
    norms = []
    for budget in (20, 200, 800):
        threat = ThreatModel("l2", torch.inf, budget=budget)
        result = HopSkipJump(batch_size=40)(small_net, images, y, threat, space=box, seed=0)
        norms.append(result.norm_B.masked_fill(~result.broken_B, torch.inf))
    found = norms[0].isfinite()
    assert int(found.sum()) > 10
    assert float(norms[1][found].median()) < 0.9 * float(norms[0][found].median())
    assert float(norms[2][found].median()) < 0.9 * float(norms[1][found].median())


def test_an_example_without_a_start_costs_the_others_nothing() -> None:
    x = torch.rand(6, 1, 6, 6, generator=torch.Generator().manual_seed(2))
    others = [0, 1, 3, 4, 5]

    def islands(inputs: Tensor) -> Tensor:
        """Class 0 within 0.3 of an example other than 2, class 1 everywhere else: no noise errs for 2."""
        near = torch.cdist(inputs.flatten(1), x[others].flatten(1)).amin(1) < 0.3
        return torch.stack([near, ~near], dim=1).float()

    y = torch.tensor([0, 0, 1, 0, 0, 0])
    threat, space, attack = ThreatModel("l2", torch.inf), ImageBox((1, 6, 6)), HopSkipJump(steps=2, starts=5)
    result = attack(islands, x, y, threat, space=space, seed=0)
    assert result.broken_B.tolist() == [True, True, False, True, True, True]
    assert torch.equal(result.adversarial[2], x[2])
    assert (float(result.norm_B[2]), int(result.forwards_B[2])) == (0.0, 1 + 5)
    torch.testing.assert_close(result.norm_B[others], torch.full((5,), 0.3), rtol=0.01, atol=0)


def parts(result: AttackResult, rows: Any) -> tuple[Tensor, ...]:
    return result.adversarial[rows], result.norm_B[rows], result.forwards_B[rows]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("budget", [None, 400])
def test_invariant_to_batch_size_order_and_shard(norm: Norm, budget: int | None) -> None:
    # A comparison of single values, exact at any batch size: the second largest of three coarse sums.
    def classifier(inputs: Tensor) -> Tensor:
        cells = (inputs * 2**14).round().flatten(2).sum(2)
        return nn.functional.one_hot(cells.argmax(1), 3).float()

    x = torch.rand(10, 3, 4, 4, generator=torch.Generator().manual_seed(3))
    y = classifier(x).argmax(1)
    ids = torch.arange(10) * 77

    def attack(rows: list[int], batch_size: int) -> AttackResult:
        index = torch.tensor(rows)
        threat = ThreatModel(norm, torch.inf, budget=budget)
        hop_skip_jump = HopSkipJump(steps=4, batch_size=batch_size)
        return hop_skip_jump(
            classifier, x[index], y[index], threat, space=ImageBox((3, 4, 4)), seed=5, ids=ids[index]
        )

    whole = attack(list(range(10)), 256)
    assert bool(whole.broken_B.all())
    for rows, batch_size in (([7, 3, 9, 0, 5], 2), ([1], 7), (list(range(9, -1, -1)), 33)):
        part = attack(rows, batch_size)
        for ours, theirs in zip(parts(part, slice(None)), parts(whole, rows), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("norm", NORMS)
def test_foolbox_finds_nothing_nearer(
    norm: Norm, small_net: nn.Sequential, images: Tensor, box: ImageBox
) -> None:
    small_net.eval()
    x = images[:12]
    with torch.no_grad():
        y = small_net(x).argmax(1)
    ours = HopSkipJump(steps=8)(small_net, x, y, ThreatModel(norm, torch.inf), space=box, seed=0)
    theirs = foolbox.attacks.HopSkipJumpAttack(
        steps=8, constraint=norm, init_attack=foolbox.attacks.SaltAndPepperNoiseAttack()
    )
    torch.manual_seed(0)
    model = foolbox.PyTorchModel(small_net, bounds=(0, 1), device="cpu")
    _, found, success = theirs(model, x, y, epsilons=None)
    assert bool(success.all())
    delta = (found - x).flatten(1)
    norms = delta.abs().amax(1) if norm == "linf" else delta.norm(dim=1)
    assert bool(ours.broken_B.all())
    assert float(ours.norm_B.median()) <= 1.05 * float(norms.median())


def test_bad_input_is_named(box: ImageBox, images: Tensor) -> None:
    y = torch.zeros(len(images), dtype=torch.int64)
    with pytest.raises(ValueError, match="at least 1"):
        HopSkipJump(probes=0)
    with pytest.raises(CapabilityError, match="NaN"):
        HopSkipJump()(
            lambda x: torch.full((len(x), 3), torch.nan),
            images,
            y,
            ThreatModel("l2", torch.inf),
            space=box,
            seed=0,
        )
