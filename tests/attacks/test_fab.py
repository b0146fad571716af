"""FAB: its projections against linear and convex programs, its results against closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from planted_networks import Flat, labels_of
from scipy.optimize import linprog, minimize
from torch import Tensor, nn

from raiaudit.attacks.evasion.base import AttackResult
from raiaudit.attacks.evasion.engine import loop
from raiaudit.attacks.evasion.engine.balls import BALLS
from raiaudit.attacks.evasion.engine.region import Region
from raiaudit.attacks.evasion.engine.rules import Clean
from raiaudit.attacks.evasion.images.fab import FAB, BoundarySteps
from raiaudit.attacks.evasion.images.projections import onto_plane
from raiaudit.attacks.spaces import ImageBox
from raiaudit.attacks.threats import Norm, ThreatModel
from raiaudit.errors import UsageError

NORMS: list[Norm] = ["linf", "l2", "l1"]
UNBOUNDED = float("inf")
ORDERS = {"linf": torch.inf, "l2": 2.0, "l1": 1.0}


def size_of(move: Tensor, norm: Norm) -> Tensor:
    sizes_A: Tensor = torch.linalg.vector_norm(move.flatten(1).double(), ord=ORDERS[norm], dim=1)
    return sizes_A


def least(x: Any, grad: Any, gap: float, norm: Norm) -> float | None:
    """The least norm of a move within [0, 1] with grad·move = gap, by a solver; None if there is none."""
    d, bounds = len(x), list(zip(-x, 1 - x, strict=True))
    if norm == "l2":
        reach = np.where(np.sign(grad) * np.sign(gap) > 0, 1 - x, -x)
        start = reach * gap / (grad @ reach)
        if abs(gap) > abs(grad @ reach):
            return None
        plane = {"type": "eq", "fun": lambda move: grad @ move - gap, "jac": lambda move: grad}
        found = minimize(
            lambda move: move @ move,
            start,
            jac=lambda move: 2 * move,
            bounds=bounds,
            constraints=plane,
            method="SLSQP",
            options={"ftol": 1e-12, "maxiter": 500},
        )
        assert found.success
        return float(np.sqrt(found.fun))
    # Variables: the move and bounds of its absolute values, one each (l1) or one for all (linf).
    sizes = d if norm == "l1" else 1
    spread = np.eye(d) if norm == "l1" else np.ones((d, 1))
    eye = np.eye(d)
    found = linprog(
        np.r_[np.zeros(d), np.ones(sizes)],
        A_ub=np.block([[eye, -spread], [-eye, -spread]]),
        b_ub=np.zeros(2 * d),
        A_eq=np.r_[grad, np.zeros(sizes)][None],
        b_eq=[gap],
        bounds=[*bounds, *[(0, None)] * sizes],
    )
    return float(found.fun) if found.success else None


@pytest.mark.parametrize("norm", NORMS)
def test_projection_is_the_shortest_move(norm: Norm) -> None:
    generator = torch.Generator().manual_seed(0)
    rows, d = 60, 6
    x = torch.rand(rows, d, generator=generator)
    x[::5] = x[::5].round()  # in corners of the box
    grad = torch.randn(rows, d, generator=generator) * torch.rand(rows, d, generator=generator) ** 2
    grad[::7, 2:4] = 0
    gap_A = torch.randn(rows, generator=generator)
    moves = onto_plane(x, grad, gap_A, norm=norm, low=0.0, high=1.0)
    assert float((x + moves).min()) >= -1e-6
    assert float((x + moves).max()) <= 1 + 1e-6
    reached = 0
    for row in range(rows):
        expected = least(x[row].double().numpy(), grad[row].double().numpy(), float(gap_A[row]), norm)
        gained = float((grad[row] * moves[row]).sum())
        if expected is None:
            corner = torch.where(grad[row] * gap_A[row] > 0, 1 - x[row], -x[row])
            assert gained == pytest.approx(float((corner * grad[row]).sum()), abs=1e-5)
        else:
            reached += 1
            assert gained == pytest.approx(float(gap_A[row]), abs=1e-5)
            assert float(size_of(moves[row : row + 1], norm)) == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert 15 <= reached <= rows - 15


@pytest.mark.parametrize("norm", NORMS)
def test_projection_of_faint_empty_and_broken_gradients(norm: Norm) -> None:
    x = torch.rand(4, 3, 2, 2, generator=torch.Generator().manual_seed(1)) * 0.2 + 0.4
    grad = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(2))
    gap_A = 0.1 * grad.flatten(1).abs().amax(1)
    strong = onto_plane(x, grad, gap_A, norm=norm, low=0.0, high=1.0)
    faint = onto_plane(x, grad * 1e-25, gap_A * 1e-25, norm=norm, low=0.0, high=1.0)
    torch.testing.assert_close(faint, strong, rtol=1e-4, atol=1e-6)
    for row, value in enumerate((0.0, torch.nan)):
        grad[row] = value
    gap_A[2] = torch.nan
    moves = onto_plane(x, grad, gap_A, norm=norm, low=0.0, high=1.0)
    assert not bool(moves[:3].any())
    assert torch.equal(moves[3], strong[3])


def box_minimum(world: Any, norm: Norm, low: float, high: float) -> Tensor:
    """The nearest error of each example within the box, by the solver, over all classes."""
    weight, bias = (p.detach().double().numpy() for p in (world.model.layer.weight, world.model.layer.bias))
    found = []
    for x, y in zip(world.x.flatten(1).double().numpy(), world.y.tolist(), strict=True):
        unit = (x - low) / (high - low)
        moves = []
        for other in set(range(len(bias))) - {y}:
            grad, gap = weight[other] - weight[y], bias[other] - bias[y]
            moves.append(least(unit, grad * (high - low), -(grad @ x + gap), norm))
        found.append(min((move for move in moves if move is not None), default=np.inf))
    return torch.tensor(found) * (high - low)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("targets", [None, 9])
@pytest.mark.parametrize("box", [(-20.0, 20.0), (0.0, 1.0)], ids=["wide box", "binding box"])
def test_nearest_error_of_a_linear_model(
    norm: Norm, targets: int | None, box: tuple[float, float], linear_world: Any
) -> None:
    world = linear_world
    world.model.layer.bias.data += 0.3 * world.model.layer.weight.data.sum(1)
    world.y[:] = world.model(world.x).argmax(1)
    expected = box_minimum(world, norm, *box)
    attack = FAB(steps=20, targets=targets)
    space = ImageBox((1, 4, 4), *box)
    result = attack(world.model, world.x, world.y, ThreatModel(norm, UNBOUNDED), space=space, seed=0)
    possible = expected.isfinite()
    assert torch.equal(result.broken_B, possible)
    ratio = size_of(result.adversarial - world.x, norm)[possible] / expected[possible]
    assert float(ratio.min()) >= 0.999
    # Where the box cuts off the step beyond the boundary, the iterates only approach the minimum; and the
    # boundary nearest without the box, which the untargeted attack goes to, may not be the one within it.
    assert float(ratio.median()) <= 1.005
    bound = box == (0.0, 1.0)
    assert float(ratio.max()) <= (1.2 if bound and targets is None else 1.01 if bound else 1.002)
    assert box[0] <= float(result.adversarial.min()) <= float(result.adversarial.max()) <= box[1]


def survivors(
    model: Any, x: Tensor, y: Tensor, space: ImageBox, norm: Norm, eps: float, *, batch_size: int = 256
) -> AttackResult:
    """FAB-T as an ensemble uses it: whoever errs within eps leaves."""
    region = Region(BALLS[norm], eps, space.low, space.high)
    steps = BoundarySteps(name="fab-t", region=region, iterations=6, tries=9, targeted=True, seed=0)
    return loop.run(
        [Clean(), steps], model, x, y, region=region, ids_B=torch.arange(len(x)), batch_size=batch_size
    )


@pytest.mark.parametrize("norm", NORMS)
def test_within_an_ensemble_it_leaves_at_the_boundary(
    norm: Norm, linear_world: Any, counting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Looking for a quicker form of the network takes forwards that are not the attack's own.
    monkeypatch.setattr(loop, "WORTH_QUICKENING", math.inf)
    world = linear_world
    expected = box_minimum(world, norm, world.space.low, world.space.high)
    eps = 1.002 * float(expected.sort().values[11])
    counted = counting(world.model)
    result = survivors(counted, world.x, world.y, world.space, norm, eps)
    assert torch.equal(result.broken_B, expected <= eps)
    moves = result.adversarial - world.x
    assert float(size_of(moves, norm).max()) <= eps
    assert torch.equal(world.model(result.adversarial).argmax(1) != world.y, result.broken_B)
    assert counted.forwards == int(result.forwards_B.sum())
    targets = world.model.layer.out_features - 1
    standing = ~result.broken_B
    # For each target six iterations of two looks, the first of each with a gradient, and the final search.
    assert set(result.forwards_B[standing].tolist()) == {1 + targets * (2 * 6 + 3)}
    assert set(result.backwards_B[standing].tolist()) == {targets * 6}
    assert int(result.forwards_B[~standing].max()) < 1 + targets * (2 * 6 + 3)


@pytest.mark.parametrize("targets", [None, 9])
def test_passes_equal_what_the_model_saw(
    targets: int | None, counting: Any, small_net: nn.Sequential, images: Tensor, box: ImageBox
) -> None:
    y = labels_of(small_net, images)
    counted = counting(small_net)
    attack = FAB(steps=4, targets=targets, batch_size=16)
    result = attack(counted, images, y, ThreatModel("l2", UNBOUNDED), space=box, seed=0)
    assert bool(result.broken_B.all())
    assert counted.forwards == int(result.forwards_B.sum())
    assert counted.backwards == int(result.backwards_B.sum())
    tries, boundaries = (4, 1) if targets else (1, 4)  # of five classes, four are not the label
    assert set(result.forwards_B.tolist()) == {1 + tries * (2 * 4 + 3) + 1}
    assert set(result.backwards_B.tolist()) == {tries * boundaries * 4}
    capped = attack(small_net, images, y, ThreatModel("l2", UNBOUNDED, budget=9), space=box, seed=0)
    assert int(capped.forwards_B.max()) <= 9


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("targets", [None, 9])
def test_alone_or_together_the_same(
    targets: int | None, norm: Norm, small_net: nn.Sequential, images: Tensor, box: ImageBox
) -> None:
    x = images[:10]
    y = labels_of(small_net, x)
    threat = ThreatModel(norm, 40.0)
    attack = FAB(steps=5, targets=targets, batch_size=4, restarts=1 if targets else 2)
    together = attack(small_net, x, y, threat, space=box, seed=0)
    for row in range(10):
        one = slice(row, row + 1)
        alone = attack(small_net, x[one], y[one], threat, space=box, seed=0, ids=[row])
        torch.testing.assert_close(alone.norm_B, together.norm_B[one], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(alone.adversarial, together.adversarial[one], rtol=0, atol=1e-4)


def test_more_steps_and_restarts_come_nearer(small_net: nn.Sequential, images: Tensor, box: ImageBox) -> None:
    y = labels_of(small_net, images)
    threat = ThreatModel("l2", 2.0)
    few, many, again = (
        attack(small_net, images, y, threat, space=box, seed=0)
        for attack in (FAB(steps=3), FAB(steps=30), FAB(steps=30, restarts=3))
    )
    both = few.broken_B & many.broken_B
    assert int(many.broken_B.sum()) > int(few.broken_B.sum()) > 20
    assert float((many.norm_B / few.norm_B)[both].median()) < 1
    ratio = (again.norm_B / many.norm_B)[many.broken_B]
    assert float(ratio.min()) < 0.999
    assert float(ratio.max()) < 1.0001


@pytest.mark.parametrize("kind", ["zero", "nan"])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("targets", [None, 9])
def test_no_gradient_no_move(
    targets: int | None, norm: Norm, kind: str, images: Tensor, box: ImageBox
) -> None:
    y = torch.zeros(len(images), dtype=torch.int64)
    attack = FAB(steps=3, targets=targets)
    result = attack(Flat(kind, classes=2), images, y, ThreatModel(norm, UNBOUNDED), space=box, seed=0)
    assert not bool(result.broken_B.any())
    assert torch.equal(result.adversarial, images)
    assert result.details["dead_gradients"].tolist() == [3] * len(images)


def test_feature_vectors() -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 2)), torch.rand(30, 5) * 4 - 2
    y = labels_of(model, x)
    space = ImageBox((5,), -2.0, 2.0)
    result = FAB(steps=20)(model, x, y, ThreatModel("linf", UNBOUNDED), space=space, seed=0)
    assert int(result.broken_B.sum()) > 20
    assert torch.equal(labels_of(model, result.adversarial) != y, result.broken_B)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("inputs", "answers"), [("float64", "float64"), ("float32", "float16")])
def test_other_precisions(norm: Norm, inputs: str, answers: str) -> None:
    """A network in float64, and one that answers in half precision."""
    layer = nn.Linear(6, 3, dtype=getattr(torch, inputs))
    x = torch.rand(8, 6, dtype=getattr(torch, inputs), generator=torch.Generator().manual_seed(0))
    y = layer(x).argmax(1)
    found = FAB(steps=5)(
        lambda rows: layer(rows).to(getattr(torch, answers)),
        x,
        y,
        ThreatModel(norm, torch.inf),
        space=ImageBox((6,), -9.0, 9.0),
        seed=0,
    )
    assert bool(found.broken_B.all())
    assert found.adversarial.dtype == x.dtype


def test_bad_options_are_named(linear_world: Any) -> None:
    world = linear_world
    with pytest.raises(ValueError, match="at least 1"):
        FAB(targets=0)
    with pytest.raises(ValueError, match="targets or restarts"):
        FAB(targets=3, restarts=2)
    with pytest.raises(UsageError, match="begin within eps"):
        FAB(restarts=2)(
            world.model, world.x, world.y, ThreatModel("l2", UNBOUNDED), space=world.space, seed=0
        )
