"""Diagnostics against models whose defects are planted, and linear ones whose answers are known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from raiaudit.attacks.evasion import engine
from raiaudit.attacks.evasion.base import AttackResult
from raiaudit.attacks.evasion.diagnostics.answers import answers
from raiaudit.attacks.evasion.diagnostics.ascents import Recorded, Rescaled, Trace
from raiaudit.attacks.evasion.diagnostics.battery import FACTORS, battery
from raiaudit.attacks.evasion.diagnostics.binarisation import binarisation
from raiaudit.attacks.evasion.diagnostics.ladder import ladder
from raiaudit.attacks.evasion.diagnostics.outputs import logarithm, with_gradient
from raiaudit.attacks.evasion.diagnostics.recheck import outside, violations
from raiaudit.attacks.evasion.diagnostics.substitute import substitute, transferred
from raiaudit.attacks.evasion.diagnostics.surroundings import surroundings
from raiaudit.attacks.evasion.engine.region import region_of
from raiaudit.attacks.evasion.engine.rules import Clean
from raiaudit.attacks.evasion.images.pgd import PGD
from raiaudit.attacks.spaces import ImageBox
from raiaudit.attacks.threats import ThreatModel

if TYPE_CHECKING:
    from collections.abc import Callable

BOX = ImageBox((1, 4, 4), -20.0, 20.0)
UNIT = ImageBox((1, 4, 4))


class Seen(nn.Module):
    """A model behind a change of its input or its output."""

    def __init__(self, model: nn.Module, before: Any = None, after: Any = None) -> None:
        super().__init__()
        self.model, self.before, self.after = model, before, after

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(x) if self.before else x
        logits: Tensor = self.model(x)
        return self.after(logits) if self.after else logits


def images(n: int = 24, seed: int = 1) -> Tensor:
    return torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


def between(minimal_B: Tensor) -> float:
    """A radius in the widest gap of the middle distances: nothing hangs on the last bits."""
    middle = minimal_B.sort().values[6:18]
    at = int((middle[1:] / middle[:-1]).argmax())
    return float((middle[at] + middle[at + 1]) / 2)


def noisy(x: Tensor) -> Tensor:
    return x + torch.randn_like(x)


# answers ------------------------------------------------------------------------------------------------


def test_an_honest_model_answers_always_the_same(small_net: nn.Sequential, images: Tensor) -> None:
    """It has dropout and batch norm and is in training mode: `answers` looks at it as it will be used."""
    found = answers(small_net, images, module=small_net)
    assert not (found.probabilities_B | found.differ_B | found.neighbours_B).any()
    assert not found.changes
    assert not found.optimises
    assert small_net.training


def test_probabilities_are_told_from_logits(linear: Any) -> None:
    model = linear(5, seed=0)
    shares = Seen(model, after=lambda logits: logits.softmax(1))
    squashed = Seen(model, after=torch.sigmoid)  # in [0, 1], but a sum of anything
    assert answers(shares, images(), module=shares).probabilities_B.all()
    assert not answers(squashed, images(), module=squashed).probabilities_B.any()
    assert not answers(model, images(), module=model).probabilities_B.any()


def test_random_answers_differ_and_are_not_blamed_on_neighbours(linear: Any) -> None:
    model = Seen(linear(5, seed=0), before=noisy)
    found = answers(model, images(), module=model)
    assert found.differ_B.all()
    assert not found.neighbours_B.any()


def test_answers_that_depend_on_the_batch(linear: Any) -> None:
    model = Seen(linear(5, seed=0), before=lambda x: x - x.mean(0))
    found = answers(model, images(), module=model)
    assert found.neighbours_B.all()
    assert not found.differ_B.any()


class Counter(nn.Module):
    """Counts its calls in a buffer, and nothing else comes of it."""

    calls: Tensor

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        logits: Tensor = self.model(x)
        return logits


class Purifier(nn.Module):
    """Moves its input downhill before it answers."""

    def __init__(self, model: nn.Module, *, backward: bool) -> None:
        super().__init__()
        self.model, self.backward = model, backward

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            moved = x.detach().clone().requires_grad_()
            energy = self.model(moved).logsumexp(1).sum()
            if self.backward:
                energy.backward()
                step = moved.grad
            else:
                (step,) = torch.autograd.grad(energy, moved)
        assert step is not None
        logits: Tensor = self.model((moved - 0.01 * step).detach())
        return logits


def test_a_state_that_changes_is_seen(linear: Any) -> None:
    model = Counter(linear(5, seed=0))
    found = answers(model, images(), module=model)
    assert found.changes
    assert not found.differ_B.any()


@pytest.mark.parametrize("backward", [True, False])
def test_optimisation_at_test_time_is_seen(linear: Any, backward: bool) -> None:
    before = torch.autograd.grad, torch.autograd.backward
    model = Purifier(linear(5, seed=0), backward=backward)
    assert answers(model, images(), module=model).optimises
    assert (torch.autograd.grad, torch.autograd.backward) == before


# surroundings -------------------------------------------------------------------------------------------


def around(model: nn.Module, x: Tensor, space: ImageBox = UNIT) -> Any:
    return surroundings(model, x, space=space, radius=0.1, ids_B=torch.arange(len(x)), seed=0)


@pytest.mark.parametrize("grid", [255, 16, 4])
def test_quantised_inputs_are_plateaus_also_where_the_data_lie_on_the_jumps(linear: Any, grid: int) -> None:
    """x/16 with four levels: every second value lies exactly where rounding jumps."""
    model = Seen(linear(5, seed=0), before=lambda x: (x * 4).round() / 4)
    x = (images() * grid).round() / grid
    assert around(model, x).plateau_B.all()
    assert not around(linear(5, seed=0), x).plateau_B.any()


def test_variation_has_its_closed_form_for_a_linear_model(linear: Any) -> None:
    """One pixel, weights 0 and 2: a step of 1e-3 changes the second logit by 2e-3, of a range of 2x."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2, bias=False))
    model[1].weight.data = torch.tensor([[0.0], [2.0]])
    x = torch.tensor([[[[0.25]]], [[[1.0]]]])
    found = around(model, x, ImageBox((1, 1, 1)))
    np.testing.assert_allclose(found.variation_B, [1e-3 / 0.25, 1e-3 / 1.0], rtol=1e-3)


def test_a_shattered_answer_varies(linear: Any) -> None:
    model = Seen(linear(5, seed=0), before=lambda x: x + 2 * torch.sin(1e5 * x))
    assert (around(model, images()).variation_B > 0.1).float().mean() > 0.9
    assert (around(linear(5, seed=0), images()).variation_B < 0.05).all()


# the losses of an attack --------------------------------------------------------------------------------


def test_late_gain_has_its_closed_form() -> None:
    trace = Trace(4, 41, torch.device("cpu"))
    everyone = torch.arange(4)
    for look in range(41):
        # steady rise · flat after ten · a late dip that costs nothing · gone after the fifth look
        losses = torch.tensor([float(look), min(look, 10.0), -1.0 if look > 35 else min(look, 5.0), 0.0])
        trace.note(everyone[: 3 if look > 4 else 4], losses[: 3 if look > 4 else 4])
    np.testing.assert_allclose(trace.late_gain(), [9 / 40, 0, 0, 0], atol=1e-6)


def test_recording_changes_nothing(linear_world: Any) -> None:
    threat, attack = ThreatModel("linf", 0.05), PGD(steps=12)
    region = region_of(attack, linear_world.x, linear_world.y, threat, linear_world.space)
    plain = attack(
        linear_world.model, linear_world.x, linear_world.y, threat, space=linear_world.space, seed=3
    )
    trace = Trace(24, 13, torch.device("cpu"))
    recorded = engine.run(
        [Clean(), Recorded("pgd", region, 12, 2.5 * 0.05 / 12, seed=3, trace=trace)],
        linear_world.model,
        linear_world.x,
        linear_world.y,
        region=region,
        ids_B=torch.arange(24),
        batch_size=256,
    )
    assert torch.equal(plain.adversarial, recorded.adversarial)
    looks_B = (~trace.loss_BT.isnan()).sum(1)
    assert torch.equal(looks_B[~plain.broken_B], torch.full_like(looks_B, 13)[~plain.broken_B])


def test_rescaling_undoes_saturation(linear_world: Any) -> None:
    """Logits times 1e5: cross-entropy is flat in float32; rescaled, it reaches the closed form."""
    eps = between(linear_world.minimal("linf"))
    world, threat = linear_world, ThreatModel("linf", eps)
    model = Seen(world.model, after=lambda logits: logits * 1e5)
    region = region_of(PGD(), world.x, world.y, threat, world.space)

    def broken(rule: Any) -> Tensor:
        return engine.run(
            [Clean(), rule],
            model,
            world.x,
            world.y,
            region=region,
            ids_B=torch.arange(24),
            batch_size=64,
        ).broken_B

    assert torch.equal(broken(Rescaled("r", region, 40, eps / 4)), world.minimal("linf") <= eps)
    assert not broken(Recorded("p", region, 40, eps / 4, trace=Trace(24, 41, torch.device("cpu")))).any()


# the battery --------------------------------------------------------------------------------------------


def measured(model: Any, world: Any, norm: Any, eps: float, **changes: Any) -> dict[str, Tensor]:
    options: dict[str, Any] = {"steps": 20, "queries": 30, "random": False, "probabilities": False}
    return battery(
        model,
        world.x,
        world.y,
        ThreatModel(norm, eps),
        space=world.space,
        ids_B=torch.arange(len(world.x)),
        seed=0,
        **{**options, **changes},
    )


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_on_a_linear_model_every_column_has_its_closed_form(linear_world: Any, norm: str) -> None:
    minimal_B = linear_world.minimal(norm)
    eps = between(minimal_B)
    found = measured(linear_world.model, linear_world, norm, eps)
    assert torch.equal(found["pgd"], minimal_B <= eps)
    for factor in FACTORS:
        clear_B = (minimal_B / (factor * eps) - 1).abs() > 0.05
        assert torch.equal(found[f"eps_{factor:g}"][clear_B], (minimal_B <= factor * eps)[clear_B])
    assert found["box"].all()
    for name in ("clean", "doubled", "rescaled", "scale_free", "black_box", "silent", "invalid"):
        assert not found[name].any(), name
    assert not found["dead_gradients"].any()
    assert not (found["one_step"] & ~found["pgd"]).any()
    assert "expectation" not in found


def test_passes_are_those_of_an_instrumented_model(linear_world: Any, counting: Callable[..., Any]) -> None:
    model = counting(linear_world.model)
    found = measured(model, linear_world, "linf", between(linear_world.minimal("linf")))
    probes = 2 + 2  # is there a gradient, and how many classes
    assert int(found["forwards"].sum()) + probes == model.forwards
    assert int(found["backwards"].sum()) <= model.backwards


def test_a_model_without_any_gradient_is_dead_not_an_error(linear_world: Any) -> None:
    model = Seen(linear_world.model, before=Tensor.detach)
    eps = between(linear_world.minimal("linf"))
    found = measured(model, linear_world, "linf", eps, queries=300)
    assert (found["pgd"] | (found["dead_gradients"] == 20)).all()
    assert found["pgd"].sum() < (found["pgd"] | found["black_box"]).sum()
    assert not (found["black_box"] & (linear_world.minimal("linf") > eps)).any()


def test_the_logarithm_of_probabilities_is_attacked_where_they_saturate(linear_world: Any) -> None:
    """Softmax of tenfold logits: rounded to 0 and 1 for some, but their logarithm still has a slope."""
    model = Seen(linear_world.model, after=lambda logits: (10 * logits).softmax(1))
    eps = between(linear_world.minimal("linf"))
    found = measured(model, linear_world, "linf", eps, probabilities=True)
    reached = found["pgd"] | found["rescaled"] | found["scale_free"]
    assert torch.equal(reached, linear_world.minimal("linf") <= eps)


def test_glasses_are_worn_only_where_they_are_needed(linear: Any) -> None:
    model: nn.Module = linear(3, seed=0)
    worn = with_gradient(model, images())
    assert worn is model
    x = images().requires_grad_()
    (grad,) = torch.autograd.grad(with_gradient(Seen(model, before=Tensor.detach), x)(x).sum(), x)
    assert not grad.any()
    shares = Seen(model, after=lambda logits: logits.softmax(1))
    difference = logarithm(shares)(images()) - model(images())
    assert torch.allclose(difference, difference[:, :1].expand_as(difference), atol=1e-4)


# second looks -------------------------------------------------------------------------------------------


def test_what_leaves_the_ball_by_one_bit_is_outside() -> None:
    """0.5 + 0.1 in float32 is 0.60000002: further than 0.1 from a half, by less than float32 can say."""
    clean = np.full((4, 1, 2, 2), 0.5, dtype=np.float32)
    moved = clean.copy()
    moved[0] += np.float32(0.1)
    moved[1] += np.nextafter(np.float32(0.1), np.float32(0)) - np.float32(1e-7)
    moved[2] = 1.5
    moved[3, 0, 0, 0] = np.nan
    space = ImageBox((1, 2, 2))
    assert outside(clean, moved, ThreatModel("linf", 0.1), space).tolist() == [True, False, True, True]
    assert outside(clean, moved, ThreatModel("linf", 1.0), space).tolist() == [False, False, True, True]
    assert outside(clean, moved, ThreatModel("l2", 0.19), space).tolist() == [True, True, True, True]
    assert outside(clean, moved, ThreatModel("l1", 0.4), space).tolist() == [True, False, True, True]


def test_a_claim_that_the_model_does_not_share_is_a_violation(linear_world: Any) -> None:
    world = linear_world
    wrong = (world.y + 1) % world.model.layer.out_features
    threat = ThreatModel("linf", 1.0)
    labels = torch.where(torch.arange(24) < 9, world.y, wrong)
    found = violations(world.model, world.x, world.x, labels, threat, world.space)
    assert found.tolist() == [True] * 9 + [False] * 15


# the substitute -----------------------------------------------------------------------------------------


def test_a_substitute_learns_the_answers_and_breaks_what_hides_its_gradient(linear: Any) -> None:
    model = Seen(linear(3, seed=0, scale=1.0), before=Tensor.detach)
    x = images(600, seed=5)
    state = torch.get_rng_state()
    copy = substitute(model, x, seed=0)
    assert torch.equal(state, torch.get_rng_state())
    again = substitute(model, x, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(copy.parameters(), again.parameters(), strict=True))
    fresh = images(200, seed=6)
    y = model(fresh).argmax(1)
    assert float((copy(fresh).argmax(1) == y).float().mean()) > 0.85
    threat = ThreatModel("linf", 0.1)
    assert not PGD(steps=5, random_start=False)(
        with_gradient(model, fresh), fresh, y, threat, space=UNIT, seed=0
    ).broken_B.any()
    found = transferred(model, copy, fresh, y, threat, space=UNIT, seed=0, steps=10)
    reachable = linear_distance(model.model, fresh, y) <= 0.1
    assert not (found & ~reachable).any()
    assert found.sum() > 0.6 * reachable.sum()


def linear_distance(model: Any, x: Tensor, y: Tensor) -> Tensor:
    """To the nearest boundary in L∞, whatever the box says."""
    logits, weight = model(x).detach(), model.layer.weight.detach()
    dual = (weight[y][:, None] - weight[None]).abs().sum(2)
    gap = logits.gather(1, y[:, None]) - logits
    nearest: Tensor = (gap / dual).masked_fill(dual == 0, torch.inf).amin(1)
    return nearest


# the binarisation test ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.1), ("l2", 0.4)])
def test_an_attack_that_works_finds_what_was_planted(norm: Any, eps: float) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 64), nn.Softplus(), nn.Linear(64, 5))
    ids = torch.arange(12)
    x, threat = images(12), ThreatModel(norm, eps)
    tested, found = binarisation(model, x, threat, space=UNIT, ids_B=ids, seed=0, steps=30)
    assert tested.all()
    assert found.sum() >= 11  # the paper asks for 95 %
    blind = Seen(model, before=Tensor.detach)
    tested, found = binarisation(blind, x, threat, space=UNIT, ids_B=ids, seed=0, steps=30)
    assert tested.all()
    assert not found.any()
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_binarisation_uses_the_outputs_of_a_bare_function(linear: Any) -> None:
    model = linear(5, seed=0)
    options: dict[str, Any] = {"space": UNIT, "ids_B": torch.arange(6), "seed": 0, "steps": 30}
    threat = ThreatModel("linf", 0.1)
    tested, found = binarisation(lambda x: model(x), images(6), threat, **options)
    assert torch.equal(found, tested)
    # five outputs of sixteen pixels separate few border points from two hundred inner ones
    assert tested.sum() < binarisation(model, images(6), threat, **options)[0].sum()


# the ladder ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Threshold:
    """Breaks example i from a radius of i/10 on; twice the steps halve that radius."""

    name: str = "threshold"
    norms: frozenset[Any] = frozenset({"l0"})
    modality: Any = "text"
    knowledge: Any = "score"
    steps: int = 1
    asked: list[float] = field(default_factory=list, compare=False)

    def __call__(self, classifier: Any, x: Any, y_B: Tensor, threat: ThreatModel, **_: Any) -> AttackResult:
        self.asked.append(threat.eps)
        ones = torch.ones_like(y_B)
        broken_B = torch.arange(len(x)) / 10 <= threat.eps * self.steps + 1e-9
        return AttackResult(x, broken_B, ones.float(), 3 * ones, 2 * ones)


def test_the_ladder_asks_at_half_once_and_twice_the_radius() -> None:
    attack = Threshold()
    found = ladder(
        attack,
        lambda texts: torch.zeros(len(texts), 2),
        ["a"] * 11,
        torch.zeros(11, dtype=torch.int64),
        ThreatModel("l0", 0.6),
        space=UNIT,
        ids_B=torch.arange(11),
        seed=0,
    )
    assert attack.asked == [0.3, 0.6, 1.0, 0.6]
    assert [int(found[name].sum()) for name in ("eps_0.5", "attack", "eps_2", "doubled")] == [4, 7, 11, 4]
    assert found["forwards"].tolist() == [12] * 11
    assert found["backwards"].tolist() == [8] * 11
