"""Square: closed forms of a linear model, where its windows lie, and the accounting of queries."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raiaudit.attacks.evasion.base import AttackResult
from raiaudit.attacks.evasion.images.square import Square, share_of_window, window_sides
from raiaudit.attacks.spaces import ImageBox
from raiaudit.attacks.threats import Norm, ThreatModel

NORMS: list[Norm] = ["linf", "l2", "l1"]


def linear_classifier(shape: tuple[int, ...], classes: int, *, low: float, high: float, seed: int) -> Any:
    """A model, inputs in the middle of the box with their labels, and the closed-form minimal distances."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(classes, *shape, generator=generator)
    # Neighbouring values weigh alike, as in images; else no window is worth more than its pixels.
    weight = weight if len(shape) == 1 else nn.functional.avg_pool2d(weight, 3, 1, 1)
    weight = weight.flatten(1)
    x = low + (high - low) * (0.4 + 0.2 * torch.rand(16, *shape, generator=generator))
    bias = -x.mean(0).flatten() @ weight.T

    def classifier(inputs: Tensor) -> Tensor:
        return inputs.flatten(1) @ weight.T + bias

    logits = classifier(x)
    y = logits.argmax(1)
    gap = logits.gather(1, y[:, None]) - logits
    difference = weight[y][:, None] - weight

    def minimal(norm: Norm) -> Tensor:
        dual = difference.norm({"linf": 1, "l2": 2, "l1": torch.inf}[norm], dim=2)
        distance: Tensor = (gap / dual).masked_fill(dual == 0, torch.inf).amin(1)
        return distance

    return classifier, x, y, minimal


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("shape", "classes", "low", "high"),
    [
        ((1, 8, 8), 2, 0.0, 1.0),
        ((3, 8, 8), 5, -1.0, 1.0),
        ((3, 6, 10), 2, 0.0, 255.0),
        ((24,), 3, -1.0, 1.0),
        ((1,), 2, 0.0, 1.0),
    ],
    ids=str,
)
def test_linear_minimal_perturbation(
    norm: Norm, shape: tuple[int, ...], classes: int, low: float, high: float
) -> None:
    classifier, x, y, minimal = linear_classifier(shape, classes, low=low, high=high, seed=7)
    distance = minimal(norm)
    # Windows of one colour reach the sign of nearly every weight in L∞; bumps come near its value in L2,
    # the less so the more channels there are.
    far_enough = {"linf": 1.3, "l2": 2.6, "l1": 5.0}[norm]
    for row in (0, 5):
        copies = x[row].expand(6, *shape), y[row].expand(6)  # six searches at the same distance
        for factor, broken in ((0.999, False), (far_enough, True)):
            threat = ThreatModel(norm, float(distance[row]) * factor)
            result = Square(steps=500)(classifier, *copies, threat, space=ImageBox(shape, low, high), seed=0)
            assert result.broken_B.tolist() == [broken] * 6


@dataclass
class Recorder:
    """A one-against-all model that keeps every input of its first row."""

    y: int = 0
    seen: list[Tensor] = field(default_factory=list)

    def __call__(self, x: Tensor) -> Tensor:
        self.seen.append(x.clone())
        return torch.stack([torch.ones(len(x)), torch.zeros(len(x))], dim=1)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("channels", [1, 3])
def test_windows_reach_every_edge_and_differ_between_examples(norm: Norm, channels: int) -> None:
    # Equal margins are kept, so that two looks in a row differ by the very windows of the second.
    recorder, height, width = Recorder(), 9, 12
    x = torch.full((2, channels, height, width), 0.5)
    y = torch.zeros(2, dtype=torch.int64)
    space = ImageBox((channels, height, width))
    Square(steps=600)(recorder, x, y, ThreatModel(norm, 0.3), space=space, seed=0)
    looks = torch.stack(recorder.seen[1:])  # without the clean one: T×2×C×H×W
    moved = (looks[1:] != looks[:-1]).any(2)
    rows, columns = moved.any(3), moved.any(2)
    assert bool(rows.any(0).all())
    assert bool(columns.any(0).all())
    late = moved[300:]
    assert bool((late[:, 0] != late[:, 1]).flatten(1).any(1).float().mean() > 0.9)
    # A small window leaves most rows and columns alone, the last as often as the one before it.
    last, before = (columns[300:, :, i].float().mean() for i in (-1, -2))
    assert float(last) > 0.3 * float(before) > 0


def test_no_query_of_linf_is_spent_on_what_was_seen_just_before() -> None:
    recorder = Recorder()
    x = torch.full((4, 1, 8, 8), 0.5)
    y = torch.zeros(4, dtype=torch.int64)
    Square(steps=300)(recorder, x, y, ThreatModel("linf", 0.2), space=ImageBox((1, 8, 8)), seed=1)
    assert all(bool((one != other).flatten(1).any(1).all()) for one, other in pairwise(recorder.seen))


@pytest.mark.parametrize("norm", NORMS)
def test_refused_windows_are_put_back_and_the_loss_never_grows(norm: Norm) -> None:
    classifier, x, y, minimal = linear_classifier((3, 8, 8), 4, low=0, high=1, seed=3)
    seen: list[Tensor] = []

    def watched(inputs: Tensor) -> Tensor:
        seen.append(inputs.clone())
        logits: Tensor = classifier(inputs)
        return logits

    # Too far to be broken: all rows stay to the end, and every look is a proposal.
    threat = ThreatModel(norm, 0.5 * float(minimal(norm).min()))
    Square(steps=400)(watched, x, y, threat, space=ImageBox((3, 8, 8)), seed=0)

    def margins(inputs: Tensor) -> Tensor:
        logits = classifier(inputs)
        best_other = logits.scatter(1, y[:, None], -torch.inf).amax(1)
        result: Tensor = logits.gather(1, y[:, None])[:, 0] - best_other
        return result

    kept, best = seen[1].clone(), margins(seen[1])
    refused = 0
    for step, (now, following) in enumerate(pairwise(seen[1:])):
        better = margins(now) <= best
        refused += int((~better).sum())
        kept[better], best = now[better], torch.where(better, margins(now), best)
        # What follows differs from the best so far by no more cells than windows hold.
        sides = window_sides(share_of_window(0.8, step, 400), 8, 8, odd=norm != "linf")
        cells = sides[0] * sides[1] * 3 * (1 if norm == "linf" else 2)
        assert int((following != kept).flatten(1).sum(1).max()) <= cells
    assert refused > 100
    assert bool((best < margins(seen[1])).all())


@pytest.mark.parametrize("norm", NORMS)
def test_every_look_is_within_reach(norm: Norm) -> None:
    seen: list[Tensor] = []
    classifier, x, y, minimal = linear_classifier((3, 7, 7), 3, low=-1, high=1, seed=5)

    def watched(inputs: Tensor) -> Tensor:
        seen.append(inputs.clone())
        logits: Tensor = classifier(inputs)
        return logits

    eps = 0.5 * float(minimal(norm).min())
    Square(steps=1000)(watched, x, y, ThreatModel(norm, eps), space=ImageBox((3, 7, 7), -1, 1), seed=0)
    looks = torch.stack(seen)
    delta = (looks.double() - x.double()).flatten(2)
    norms = delta.norm({"linf": torch.inf, "l2": 2, "l1": 1}[norm], dim=2)
    assert float(norms.max()) <= eps
    assert float(norms[-1].min()) >= 0.99 * eps  # and nothing of eps is left unused
    assert float(looks.abs().max()) <= 1


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("budget", [None, 50])
def test_queries_equal_what_the_model_saw(
    norm: Norm, budget: int | None, small_net: Any, counting: Any
) -> None:
    x = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        y = small_net.eval()(x).argmax(1)
    y[:3] = (y[:3] + 1) % 5
    counted = counting(small_net)
    threat = ThreatModel(norm, {"linf": 0.03, "l2": 0.2, "l1": 1.2}[norm], knowledge="score", budget=budget)
    result = Square(steps=80, batch_size=16)(counted, x, y, threat, space=ImageBox((1, 8, 8)), seed=0)
    assert counted.forwards == int(result.forwards_B.sum())
    assert counted.backwards == int(result.backwards_B.sum()) == 0
    assert result.forwards_B[:3].tolist() == [1, 1, 1]
    assert 3 < int(result.broken_B.sum()) < 40
    standing = result.forwards_B[~result.broken_B]
    if budget is None:
        assert set(standing.tolist()) == {1 + 81}
    else:
        # Room for a confirmation is kept to the end.
        assert set(standing.tolist()) == {budget - 1}
        assert int(result.forwards_B.max()) <= budget


def test_windows_of_a_budget_shrink_within_it() -> None:
    recorder = Recorder()
    x = torch.full((1, 1, 20, 20), 0.5)
    threat = ThreatModel("linf", 0.1, budget=200)
    y = torch.zeros(1, dtype=torch.int64)
    Square()(recorder, x, y, threat, space=ImageBox((1, 20, 20)), seed=0)
    looks = torch.cat(recorder.seen)
    assert len(looks) == 199
    assert int((looks[-1] != looks[-2]).sum()) == 1


def parts(result: AttackResult, rows: Any) -> tuple[Tensor, ...]:
    return result.adversarial[rows], result.broken_B[rows], result.norm_B[rows], result.forwards_B[rows]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("shape", [(3, 6, 6), (30,)], ids=str)
def test_invariant_to_batch_size_order_and_shard(norm: Norm, shape: tuple[int, ...]) -> None:
    # Small integers make every product and sum exact, so that batch size cannot move a last bit.
    generator = torch.Generator().manual_seed(9)
    values = int(torch.tensor(shape).prod())
    weight = torch.randint(-6, 7, (values, 3), generator=generator).float()
    x = torch.randint(64, 192, (12, *shape), generator=generator) / 256

    def classifier(inputs: Tensor) -> Tensor:
        # Rounded to 2⁻¹⁶ the bumps of L2 are exact as well.
        return (inputs.flatten(1) * 2**16).round() @ weight

    y = classifier(x).argmax(1)
    ids = torch.arange(12) * 1000
    threat = ThreatModel(norm, {"linf": 0.04, "l2": 0.2, "l1": 0.8}[norm])

    def attack(rows: list[int], batch_size: int) -> AttackResult:
        index = torch.tensor(rows)
        square = Square(steps=80, restarts=2, batch_size=batch_size)
        space = ImageBox(shape)
        return square(classifier, x[index], y[index], threat, space=space, seed=2, ids=ids[index])

    whole = attack(list(range(12)), 256)
    assert 0 < int(whole.broken_B.sum()) < 12
    for rows, batch_size in (([7, 3, 11, 0, 5], 2), ([1], 1), (list(range(11, -1, -1)), 5)):
        for ours, theirs in zip(
            parts(attack(rows, batch_size), slice(None)), parts(whole, rows), strict=True
        ):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_seeds_and_restarts_search_differently() -> None:
    recorder, again, other = Recorder(), Recorder(), Recorder()
    x, y = torch.full((1, 1, 8, 8), 0.5), torch.zeros(1, dtype=torch.int64)
    for seed, kept in ((0, recorder), (0, again), (1, other)):
        square = Square(steps=5, restarts=2)
        square(kept, x, y, ThreatModel("l2", 0.5), space=ImageBox((1, 8, 8)), seed=seed)
    assert all(torch.equal(a, b) for a, b in zip(recorder.seen, again.seen, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(recorder.seen[1:], other.seen[1:], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(recorder.seen[1:7], recorder.seen[7:], strict=True))


@pytest.mark.parametrize(
    ("share", "height", "width", "odd", "sides"),
    [
        (0.8, 28, 28, False, (25, 25)),
        (0.4, 28, 28, False, (18, 18)),
        (0.4, 28, 28, True, (19, 19)),
        (0.0015625, 28, 28, False, (1, 1)),
        (0.0015625, 28, 28, True, (3, 3)),
        (0.8, 10, 30, False, (10, 24)),
        (0.8, 30, 10, False, (24, 10)),
        (0.8, 1, 20, False, (1, 16)),
        (0.8, 1, 20, True, (1, 17)),
        (0.01, 1, 20, True, (1, 3)),
        (0.01, 2, 2, True, (2, 2)),
    ],
)
def test_window_sides(share: float, height: int, width: int, odd: bool, sides: tuple[int, int]) -> None:
    assert window_sides(share, height, width, odd=odd) == sides


def test_schedule_is_that_of_the_paper_rescaled() -> None:
    shares = [share_of_window(0.8, at, 10_000) / 0.8 for at in (0, 10, 11, 51, 201, 501, 1001, 2001, 4001)]
    assert shares == [1, 1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128]
    assert share_of_window(0.8, 999, 1000) == share_of_window(0.8, 9990, 10_000) == 0.8 / 512


def test_bad_hyperparameters_are_named() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Square(steps=0)
    with pytest.raises(ValueError, match="p_init"):
        Square(p_init=0)
