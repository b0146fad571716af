"""FMN, DDN, DeepFool and C&W: closed forms of linear models, foolbox as a second opinion, accounting."""

from __future__ import annotations

from typing import Any

import foolbox
import pytest
import torch
from planted_networks import Flat, labels_of
from torch import Tensor, nn

from raiaudit.attacks.evasion.images.attack import ImageAttack
from raiaudit.attacks.evasion.images.carlini_wagner import CarliniWagner
from raiaudit.attacks.evasion.images.ddn import DDN
from raiaudit.attacks.evasion.images.deepfool import DeepFool
from raiaudit.attacks.evasion.images.fmn import FMN
from raiaudit.attacks.spaces import ImageBox
from raiaudit.attacks.threats import Norm, ThreatModel

UNBOUNDED = float("inf")
ORDERS = {"linf": torch.inf, "l2": 2.0, "l1": 1.0, "l0": 0.0}
ALL: list[tuple[ImageAttack, Norm]] = [
    (FMN(steps=30), "linf"),
    (FMN(steps=30), "l2"),
    (FMN(steps=30), "l1"),
    (FMN(steps=30), "l0"),
    (DDN(steps=30), "l2"),
    (DeepFool(), "linf"),
    (DeepFool(), "l2"),
    (CarliniWagner(steps=50, rounds=6, step_size=0.1), "l2"),
]
SHORT: list[tuple[ImageAttack, Norm]] = [
    (FMN(steps=6), "l2"),
    (FMN(steps=6), "l0"),
    (DDN(steps=6), "l2"),
    (DeepFool(steps=6), "linf"),
    (CarliniWagner(steps=5, rounds=2, step_size=0.1, first_weight=1.0), "l2"),
]


def size_of(move: Tensor, norm: Norm) -> Tensor:
    sizes_A: Tensor = torch.linalg.vector_norm(move.flatten(1).double(), ord=ORDERS[norm], dim=1)
    return sizes_A


def least(gain: Tensor, room: Tensor, gap: float, norm: Norm) -> float:
    """The least norm of t in [0, room] with gain·t ≥ gap; infinite if there is none."""
    if float(gain @ room) < gap:
        return torch.inf
    if norm in ("l0", "l1"):
        order = (gain * room if norm == "l0" else gain).argsort(descending=True)
        before = (gain * room)[order].cumsum(0) - (gain * room)[order]
        spent = ((gap - before) / gain[order]).clamp_min(0).minimum(room[order])
        return float((spent > 0).sum() if norm == "l0" else spent.sum())
    rate = gain if norm == "l2" else torch.ones_like(gain)
    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if float(gain @ (middle * rate).minimum(room)) < gap else (low, middle)
    return float(torch.linalg.vector_norm((high * rate).minimum(room), ord=ORDERS[norm]))


def nearest_errors(world: Any, norm: Norm, low: float, high: float) -> Tensor:
    """The exact distance of each example of the linear model to its nearest error within the box."""
    weight, bias = world.model.layer.weight.detach().double(), world.model.layer.bias.detach().double()
    found = []
    for x, y in zip(world.x.flatten(1).double(), world.y.tolist(), strict=True):
        sizes = []
        for other in set(range(len(bias))) - {y}:
            grad = weight[other] - weight[y]
            gap = -float(grad @ x + bias[other] - bias[y])
            sizes.append(least(grad.abs(), torch.where(grad > 0, high - x, x - low), gap, norm))
        found.append(min(sizes))
    return torch.tensor(found)


# How far above the exact minimum the median and the worst example may end. FMN may settle on another class
# than the nearest, and in L0 on another set; DeepFool oversteps by 2 %. DDN's radius starts at the width of
# the box and falls by 5 % a step, and C&W's search for c begins below: the nearest ones stay out of reach.
LINEAR = [
    (FMN(), "linf", 1.01, 1.3),
    (FMN(), "l2", 1.01, 1.3),
    (FMN(), "l1", 1.01, 1.3),
    (FMN(), "l0", 1.01, 2.0),
    (DDN(), "l2", 1.05, UNBOUNDED),
    (DeepFool(), "linf", 1.021, 1.05),
    (DeepFool(), "l2", 1.021, 1.05),
    (CarliniWagner(steps=100), "l2", 1.05, UNBOUNDED),
]


@pytest.mark.parametrize(("attack", "norm", "median", "worst"), LINEAR)
def test_nearest_error_of_a_linear_model(
    attack: ImageAttack, norm: Norm, median: float, worst: float, linear_world: Any
) -> None:
    world, box = linear_world, (-4.0, 5.0)
    expected = nearest_errors(world, norm, *box)
    space = ImageBox((1, 4, 4), *box)
    result = attack(world.model, world.x, world.y, ThreatModel(norm, UNBOUNDED), space=space, seed=0)
    assert bool(result.broken_B.all())
    ratio = size_of(result.adversarial - world.x, norm) / expected
    assert float(ratio.min()) >= 0.9999
    assert float(ratio.median()) <= median
    assert float(ratio.max()) <= worst
    # At a finite eps the same perturbations are judged, not sought anew.
    eps = 1.000001 * float(result.norm_B.median())
    judged = attack(world.model, world.x, world.y, ThreatModel(norm, eps), space=space, seed=0)
    assert torch.equal(judged.broken_B, result.norm_B <= eps)
    assert torch.equal(judged.adversarial, result.adversarial)


@pytest.mark.parametrize(("attack", "norm"), ALL)
def test_within_a_box_that_binds(attack: ImageAttack, norm: Norm, linear_world: Any) -> None:
    world, box = linear_world, (0.0, 1.0)
    world.model.layer.bias.data += 0.3 * world.model.layer.weight.data.sum(1)
    world.y[:] = labels_of(world.model, world.x)
    expected, free = (nearest_errors(world, norm, *bounds) for bounds in (box, (-20.0, 20.0)))
    assert bool((expected > 1.01 * free).any())
    space = ImageBox((1, 4, 4), *box)
    result = attack(world.model, world.x, world.y, ThreatModel(norm, UNBOUNDED), space=space, seed=0)
    assert 0.0 <= float(result.adversarial.min()) <= float(result.adversarial.max()) <= 1.0
    assert torch.equal(labels_of(world.model, result.adversarial) != world.y, result.broken_B)
    assert not bool((result.broken_B & expected.isinf()).any())
    assert int(result.broken_B.sum()) >= 0.9 * int(expected.isfinite().sum())
    ratio = size_of(result.adversarial - world.x, norm)[result.broken_B] / expected[result.broken_B]
    assert float(ratio.min()) >= 0.9999
    assert float(ratio.median()) <= 1.1


@pytest.fixture(scope="module")
def digits() -> tuple[nn.Module, Tensor, Tensor]:
    """A small convolutional net trained on sklearn's digits, and examples that it gets right."""
    from sklearn.datasets import load_digits

    pixels, classes = load_digits(return_X_y=True)
    x, y = torch.tensor(pixels, dtype=torch.float32).view(-1, 1, 8, 8) / 16, torch.tensor(classes)
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(512, 10),
        )
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(8):
        for rows in torch.split(torch.randperm(1400, generator=generator), 100):
            optimizer.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(model(x[rows]), y[rows]))
            optimizer.step()
    right = labels_of(model, x[1400:]) == y[1400:]
    return model, x[1400:][right][:48], y[1400:][right][:48]


PEERS: list[tuple[ImageAttack, Norm, Any]] = [
    (FMN(steps=60), "l2", foolbox.attacks.L2FMNAttack(steps=60)),
    (FMN(steps=60), "linf", foolbox.attacks.LInfFMNAttack(steps=60)),
    (FMN(steps=60), "l1", foolbox.attacks.L1FMNAttack(steps=60)),
    (FMN(steps=60), "l0", foolbox.attacks.L0FMNAttack(steps=60)),
    (DDN(steps=60), "l2", foolbox.attacks.DDNAttack(steps=60)),
    (DeepFool(), "l2", foolbox.attacks.L2DeepFoolAttack()),
    (DeepFool(), "linf", foolbox.attacks.LinfDeepFoolAttack()),
    (
        CarliniWagner(steps=50, rounds=6, step_size=0.05),
        "l2",
        foolbox.attacks.L2CarliniWagnerAttack(steps=50, binary_search_steps=6, stepsize=0.05),
    ),
]


@pytest.mark.parametrize(("attack", "norm", "peer"), PEERS)
def test_no_farther_than_foolbox(
    attack: ImageAttack, norm: Norm, peer: Any, digits: tuple[nn.Module, Tensor, Tensor]
) -> None:
    model, x, y = digits
    box = ImageBox((1, 8, 8))
    ours = attack(model, x, y, ThreatModel(norm, UNBOUNDED), space=box, seed=0)
    assert bool(ours.broken_B.all())
    _, theirs, found_B = peer(foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu"), x, y, epsilons=None)
    theirs_B = size_of(theirs - x, norm).masked_fill(~found_B, torch.inf)
    assert float(ours.norm_B.median()) <= 1.02 * float(theirs_B.median())


@pytest.mark.parametrize(("attack", "norm"), SHORT)
def test_passes_equal_what_the_model_saw(
    attack: ImageAttack, norm: Norm, counting: Any, small_net: nn.Sequential, images: Tensor, box: ImageBox
) -> None:
    y = labels_of(small_net, images)
    y[:5] = (y[:5] + 1) % 5
    counted = counting(small_net)
    result = attack(counted, images, y, ThreatModel(norm, UNBOUNDED), space=box, seed=0)
    assert counted.forwards == int(result.forwards_B.sum())
    assert counted.backwards >= int(result.backwards_B.sum())
    assert result.forwards_B[:5].tolist() == [1] * 5
    assert torch.equal(result.adversarial[:5], images[:5])
    found = result.broken_B[5:]
    if isinstance(attack, (FMN, DDN)):
        # The clean look, six steps with a gradient, a last look, and a second one at what was found.
        assert bool((result.forwards_B[5:] == 8 + found.long()).all())
        assert set(result.backwards_B[5:].tolist()) == {6}
    for budget in (1, 2, 5):
        threat = ThreatModel(norm, UNBOUNDED, budget=budget)
        capped = attack(small_net, images, y, threat, space=box, seed=0)
        assert int(capped.forwards_B.max()) <= budget


def test_deepfool_stops_at_the_first_error(linear_world: Any, counting: Any) -> None:
    world = linear_world
    counted = counting(world.model)
    threat = ThreatModel("l2", UNBOUNDED)
    result = DeepFool()(counted, world.x, world.y, threat, space=world.space, seed=0)
    assert result.forwards_B.tolist() == [4] * len(world.x)  # clean, gradient, error, second look
    rivals = world.model.layer.out_features - 1
    assert int(result.backwards_B.min()) == int(result.backwards_B.max()) >= rivals


def test_carlini_wagner_ends_rounds_without_progress(small_net: nn.Sequential, images: Tensor) -> None:
    y = labels_of(small_net, images)
    box = ImageBox((1, 8, 8), -1.0, 2.0)
    result = CarliniWagner(steps=200, rounds=3, first_weight=1.0)(
        small_net, images, y, ThreatModel("l2", UNBOUNDED), space=box, seed=0
    )
    assert int(result.forwards_B.max()) <= 1 + 3 * 200 + 2
    assert int(result.forwards_B.min()) < 3 * 200
    assert len(set(result.forwards_B.tolist())) > 5  # each example at its own pace


@pytest.mark.parametrize(("attack", "norm"), SHORT)
def test_alone_or_together_the_same(
    attack: ImageAttack, norm: Norm, small_net: nn.Sequential, images: Tensor, box: ImageBox
) -> None:
    x, order = images[:8], torch.tensor([5, 2, 7, 0, 1, 3, 6, 4])
    y = labels_of(small_net, x)
    threat = ThreatModel(norm, UNBOUNDED)
    together = attack(small_net, x, y, threat, space=box, seed=0)
    shuffled = attack(small_net, x[order], y[order], threat, space=box, seed=0, ids=order)
    torch.testing.assert_close(shuffled.norm_B, together.norm_B[order], rtol=1e-3, atol=1e-5)
    for row in range(8):
        one = slice(row, row + 1)
        alone = attack(small_net, x[one], y[one], threat, space=box, seed=0, ids=[row])
        assert torch.equal(alone.broken_B, together.broken_B[one])
        torch.testing.assert_close(alone.norm_B, together.norm_B[one], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("few", "many"), [(FMN(steps=10), FMN(steps=80)), (DDN(steps=10), DDN(steps=80))])
def test_more_steps_come_nearer(
    few: ImageAttack, many: ImageAttack, digits: tuple[nn.Module, Tensor, Tensor]
) -> None:
    model, x, y = digits
    norms = [
        attack(model, x, y, ThreatModel("l2", UNBOUNDED), space=ImageBox((1, 8, 8)), seed=0).norm_B
        for attack in (few, many)
    ]
    assert float((norms[1] / norms[0]).median()) < 0.999


@pytest.mark.parametrize(("attack", "norm"), [*ALL[:4], (DDN(radius=0.1, steps=100), "l2"), *ALL[5:7]])
def test_faint_logits_change_nothing(attack: ImageAttack, norm: Norm, linear: Any, linear_world: Any) -> None:
    """Logits scaled by 1e-25: squares of the gradient underflow float32, what is found must not."""
    world, classes = linear_world, linear_world.model.layer.out_features
    space, threat = ImageBox((1, 4, 4), -4.0, 5.0), ThreatModel(norm, UNBOUNDED)
    faint = linear(classes, seed=classes, scale=1e-25)
    result = attack(faint, world.x, world.y, threat, space=space, seed=0)
    assert bool(result.broken_B.all())
    ratio = result.norm_B / nearest_errors(world, norm, -4.0, 5.0)
    # The cross-entropy of faint logits weighs all classes alike, and points between them.
    assert float(ratio.median()) <= (2.0 if isinstance(attack, DDN) else 1.1)


@pytest.mark.parametrize("kind", ["zero", "nan"])
@pytest.mark.parametrize(("attack", "norm"), SHORT)
def test_no_gradient_nothing_found(
    attack: ImageAttack, norm: Norm, kind: str, images: Tensor, box: ImageBox
) -> None:
    y = torch.zeros(len(images), dtype=torch.int64)
    result = attack(Flat(kind, classes=3), images, y, ThreatModel(norm, UNBOUNDED), space=box, seed=0)
    assert not bool(result.broken_B.any())
    assert torch.equal(result.adversarial, images)
    assert int(result.details["dead_gradients"].min()) > 0


def test_feature_vectors() -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 2)), torch.rand(30, 5) * 4 - 2
    y = labels_of(model, x)
    space = ImageBox((5,), -2.0, 2.0)
    for attack, norm in ALL:
        result = attack(model, x, y, ThreatModel(norm, UNBOUNDED), space=space, seed=0)
        assert int(result.broken_B.sum()) > 15
        assert torch.equal(labels_of(model, result.adversarial) != y, result.broken_B)


def test_bad_options_are_named() -> None:
    for make in (FMN, DDN, CarliniWagner):
        with pytest.raises(ValueError, match="positive"):
            make(steps=0)
    with pytest.raises(ValueError, match="rate"):
        DDN(rate=1.0)
    with pytest.raises(ValueError, match="candidates 2"):
        DeepFool(candidates=1)
