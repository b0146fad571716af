"""Adversarial training: inputs in the ball that raise the loss, weights moved against it, epochs watched."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from raiaudit.attacks.spaces import Column, ImageBox, TableSchema, TokenSpace
from raiaudit.errors import UsageError
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.architectures.cnn import ConvNet
from raiaudit.models.architectures.mlp import MLP
from raiaudit.models.data import load_dataset
from raiaudit.models.data.dataset import Dataset, Split
from raiaudit.models.recipe import Adversary, PrivacyBudget, Recipe
from raiaudit.models.training import TrainingProgress, train
from raiaudit.models.training.adversarial import AdversarialStep, InnerAttack
from raiaudit.models.training.adversarial.trades import divergences
from raiaudit.models.training.data import Batch, Examples
from raiaudit.models.weights import weights_digest

CPU = torch.device("cpu")
DIGITS = load_dataset("digits")
BOX = ImageBox((1, 4, 4))


def blobs(n: int, seed: int) -> Split:
    """Two classes of 4×4 images that a line separates."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    x = rng.normal(0.35 + 0.3 * labels[:, None], 0.1, (n, 16)).clip(0, 1).reshape(n, 1, 4, 4)
    return Split(pl.Series([str(i) for i in range(n)]), x.astype(np.float32), labels)


BLOBS = Dataset(
    "blobs", "image", ("dark", "light"), BOX, {"train": blobs(120, 0), "validation": blobs(60, 1)}, "0" * 64
)


def recipe(epochs: int = 4, **adversary: Any) -> Recipe:
    return Recipe(
        kind="adversarial",
        architecture="mlp",
        options={"hidden": 8, "depth": 1},
        epochs=epochs,
        batch_size=40,
        adversary=Adversary.model_validate({"eps": 0.1, "steps": 2, **adversary}),
    )


OBJECTIVES: dict[str, dict[str, Any]] = {
    "pgd": {"objective": "pgd", "ramp": 0.5},
    "trades": {"objective": "trades"},
    "mart": {"objective": "mart"},
    "fast": {"objective": "fast"},
    "gradalign": {"objective": "fast", "gradalign": 0.2},
    "weights": {"objective": "trades", "weight_perturbation": 0.01},
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_digits(n: int) -> Batch:
    return Examples.of(DIGITS.splits["train"], ConvNet([1, 8, 8], 10), CPU).batch(torch.arange(n))


def norms(delta: Tensor, norm: str) -> Tensor:
    flat = delta.flatten(1)
    return flat.abs().amax(1) if norm == "linf" else flat.norm(dim=1)


@pytest.fixture(scope="module")
def digits_mlp() -> Classifier:
    plain = Recipe(architecture="mlp", options={"hidden": 32}, epochs=4, train_limit=400, learning_rate=1e-2)
    return train(plain, DIGITS, seed=0).classifier


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("objective", ["pgd", "trades", "mart"])
def test_training_sees_inputs_within_the_ball_that_raise_the_loss(
    norm: str, objective: str, digits_mlp: Classifier
) -> None:
    eps = 0.2 if norm == "linf" else 1.0
    what = recipe(norm=norm, eps=eps, steps=5, objective=objective)
    step = AdversarialStep(digits_mlp, what, examples=64, space=DIGITS.space, device=CPU, bf16=False)
    batch = some_digits(64)
    seen: list[Tensor] = []
    hook = digits_mlp.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].detach()))
    digits_mlp.train()
    step.gradients(batch, 0.0, generator())
    hook.remove()
    moved = seen[-1]  # the outer step's own forward
    size_B = norms(moved - batch.x, norm)
    assert size_B.max() <= eps + 1e-6
    assert size_B.mean() > eps / 2
    assert moved.min() >= 0
    assert moved.max() <= 1
    answers = digits_mlp(batch.x)
    noise = torch.rand(batch.x.shape, generator=generator(1)) * 2 - 1
    luck = noise * eps / norms(noise, norm).view(-1, 1, 1, 1)

    def raised(inputs: Tensor) -> Tensor:
        if objective == "trades":
            return divergences(answers, digits_mlp(inputs))
        return nn.functional.cross_entropy(digits_mlp(inputs), batch.y_B, reduction="none")

    assert (raised(moved) > raised((batch.x + luck).clamp(0, 1))).float().mean() > 0.95
    assert digits_mlp.training
    assert all(parameter.requires_grad for parameter in digits_mlp.parameters())
    assert all(parameter.grad is not None for parameter in digits_mlp.parameters())


def attack(classifier: nn.Module, space: Any = BOX, **adversary: Any) -> InnerAttack:
    return InnerAttack(classifier, cast("Adversary", recipe(**adversary).adversary), space, device=CPU)


def test_trades_looks_for_another_answer_whatever_the_label(digits_mlp: Classifier) -> None:
    batch = some_digits(32)
    for objective, same in (("trades", True), ("mart", False)):
        inner = attack(digits_mlp, DIGITS.space, objective=objective)
        first, other = (
            inner.worst(batch.x, y_B, progress=1.0, generator=generator())
            for y_B in (batch.y_B, (batch.y_B + 1) % 10)
        )
        assert torch.equal(first, other) == same


def test_the_radius_and_the_step_grow_along_the_ramp() -> None:
    model, x = MLP([1, 4, 4], 2), torch.full((8, 1, 4, 4), 0.5)
    for objective, reach in (("pgd", 1.0), ("fast", 3.0)):
        inner = attack(model, objective=objective, eps=0.1, ramp=0.4, steps=1, step_size=0.1)
        for progress, share in ((0.0, 0.0), (0.1, 0.25), (0.2, 0.5), (0.4, 1.0), (0.9, 1.0)):
            assert inner.eps(progress) == pytest.approx(0.1 * share)
            moved = inner.worst(
                x, torch.zeros(8, dtype=torch.int64), progress=progress, generator=generator()
            )
            size = float((moved - x).abs().max())
            assert size <= 0.1 * share * reach + 1e-6
            assert size >= 0.09 * share * reach
    assert attack(model, eps=0.1).eps(0.0) == 0.1


def test_an_example_moves_by_its_own_gradient_alone(digits_mlp: Classifier) -> None:
    batch = some_digits(16)
    for adversary in OBJECTIVES.values():
        inner = attack(digits_mlp, DIGITS.space, **adversary)
        others = torch.cat([batch.x[:1], 1 - batch.x[1:]])
        alone, among = (
            inner.worst(x, batch.y_B, progress=1.0, generator=generator()) for x in (batch.x, others)
        )
        assert torch.equal(alone[0], among[0])


def test_the_layout_of_the_kernels_is_taken_over_and_changes_no_result() -> None:
    torch.manual_seed(0)
    model, x = ConvNet([3, 8, 8], 4, width=4, hidden=8), torch.rand(6, 3, 8, 8)
    y_B = torch.arange(6) % 4
    plain = attack(model, ImageBox((3, 8, 8))).worst(x, y_B, progress=1.0, generator=generator())
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    seen: list[bool] = []
    model.register_forward_pre_hook(
        lambda _module, inputs: seen.append(inputs[0].is_contiguous(memory_format=torch.channels_last))
    )
    moved = attack(model, ImageBox((3, 8, 8))).worst(x, y_B, progress=1.0, generator=generator())
    assert seen == [True, True]
    assert torch.allclose(moved, plain, atol=1e-5)


def batch_normed() -> tuple[ConvNet, Batch]:
    torch.manual_seed(0)
    x = torch.rand(40, 1, 8, 8)
    return ConvNet([1, 8, 8], 3, width=4, hidden=8, norm="batch"), Batch(x, torch.arange(40) % 3, x)


def gradients_of(model: Classifier, batch: Batch, what: Recipe) -> dict[str, Tensor]:
    step = AdversarialStep(model, what, examples=40, space=DIGITS.space, device=CPU, bf16=False)
    model.train()
    step.gradients(batch, 0.5, generator())
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("objective", ["pgd", "trades", "mart", "fast"])
def test_awp_is_the_gradient_of_a_copy_whose_weights_were_raised(objective: str) -> None:
    (model, batch), (plain, _) = batch_normed(), batch_normed()
    what = recipe(objective=objective, steps=1).model_copy(update={"gradient_clip": 0.0})
    before = copy.deepcopy(model.state_dict())
    slopes = gradients_of(plain, batch, what)
    worst = attack(model.train(), DIGITS.space, objective=objective, steps=1).worst(
        batch.x, batch.y_B, progress=0.5, generator=generator()
    )
    raised = copy.deepcopy(model)
    with torch.no_grad():
        for name, weight in raised.named_parameters():
            if weight.dim() > 1:
                weight.add_(slopes[name], alpha=0.05 * float(weight.norm() / slopes[name].norm()))
    step = AdversarialStep(raised, what, examples=40, space=DIGITS.space, device=CPU, bf16=False)
    step.robust(step.logits, batch.x, worst, batch.y_B).backward()  # type: ignore[no-untyped-call]

    assert what.adversary is not None
    adversary = what.adversary.model_copy(update={"weight_perturbation": 0.05})
    found = gradients_of(model, batch, what.model_copy(update={"adversary": adversary}))
    for name, weight in raised.named_parameters():
        assert weight.grad is not None
        assert torch.allclose(found[name], weight.grad, rtol=1e-3, atol=1e-6), name
    far = max(float((found[name] - slopes[name]).abs().max()) for name in slopes)
    assert far > 1e-3
    after, undisturbed = model.state_dict(), plain.state_dict()
    parameters = dict(model.named_parameters())
    assert all(torch.equal(after[name], before[name]) for name in parameters)
    # The running statistics are those of a step without the extra passes.
    assert all(torch.equal(after[name], undisturbed[name]) for name in after if name not in parameters)
    assert not all(torch.equal(after[name], before[name]) for name in after)


def test_gradalign_adds_its_gradient_and_leaves_mode_and_statistics() -> None:
    (model, batch), (plain, _) = batch_normed(), batch_normed()
    what = recipe(objective="pgd", steps=1).model_copy(update={"gradient_clip": 0.0})
    slopes = gradients_of(plain, batch, what)
    assert what.adversary is not None
    adversary = what.adversary.model_copy(update={"gradalign": 2.0})
    found = gradients_of(model, batch, what.model_copy(update={"adversary": adversary}))
    assert all(module.training for module in model.modules())
    state, undisturbed = model.state_dict(), plain.state_dict()
    assert all(torch.equal(state[name], undisturbed[name]) for name in state)
    assert max(float((found[name] - slopes[name]).abs().max()) for name in slopes) > 1e-4


SCHEMA = TableSchema(
    (
        Column("age", "integer", low=0, high=100),
        Column("born", "real", low=0, high=10, mutable=False),
        Column("job", "category", categories=("a", "b")),
        Column("score", "real", low=0, high=1, monotone="increasing"),
    )
)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_training_on_a_table_respects_the_columns(name: str) -> None:
    rng = np.random.default_rng(0)
    columns = [rng.uniform(0, 100, 50), rng.uniform(0, 10, 50), np.eye(2)[rng.integers(0, 2, 50)]]
    x = torch.from_numpy(np.column_stack([*columns, rng.uniform(0, 1, 50)]).astype(np.float32))
    y_B = (x[:, 0] > 50).long()
    what = recipe(steps=4, **OBJECTIVES[name])
    torch.manual_seed(0)
    step = AdversarialStep(MLP([5], 2), what, examples=50, space=SCHEMA, device=CPU, bf16=False)
    moved = step.inner.worst(x, y_B, progress=1.0, generator=generator()) - x
    most = 0.3 if what.adversary is not None and what.adversary.objective == "fast" else 0.1
    assert 50 * most < moved[:, 0].abs().max() <= 100 * most + 1e-4
    assert (moved[:, 1:4] == 0).all()
    assert moved[:, 4].min() >= 0
    assert most / 2 < moved[:, 4].max() <= most + 1e-6
    assert (x + moved)[:, 0].max() <= 100
    assert (x + moved)[:, 4].max() <= 1
    assert step.gradients(Batch(x, y_B, y_B), 0.9, generator()).isfinite()


def test_texts_are_refused() -> None:
    with pytest.raises(UsageError, match="moves images and tables, not texts"):
        attack(MLP([4], 2), TokenSpace(10, 4))


def test_what_is_not_defined_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"fast \(N-FGSM\) needs norm: linf"):
        recipe(objective="fast", norm="l2")
    for option in ({"objective": "trades"}, {"gradalign": 0.1}, {"weight_perturbation": 0.01}):
        with pytest.raises(ValidationError, match="private training moves each example"):
            Recipe(
                kind="private",
                architecture="mlp",
                privacy=PrivacyBudget(epsilon=1, delta=1e-3),
                adversary=Adversary.model_validate({"eps": 0.1, **option}),
            )


class _StopError(Exception):
    pass


def stop_after(epoch: int) -> Callable[[TrainingProgress], None]:
    def report(progress: TrainingProgress) -> None:
        if progress.epoch == epoch:
            raise _StopError

    return report


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_resumed_run_ends_with_the_weights_of_an_undisturbed_one(name: str, tmp_path: Path) -> None:
    what, path = recipe(**OBJECTIVES[name]), tmp_path / "run.ckpt"
    undisturbed = train(what, BLOBS, seed=5).record
    with pytest.raises(_StopError):
        train(what, BLOBS, seed=5, checkpoint=path, progress=stop_after(2))
    resumed = train(what, BLOBS, seed=5, checkpoint=path).record
    assert resumed.weights_digest == undisturbed.weights_digest
    assert resumed.metrics == undisturbed.metrics


def traps(n: int, seed: int) -> Split:
    """Fourteen pixels tell the class without fail until a ball of 0.1 turns them; two hold in it."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    sign = 2 * labels[:, None] - 1
    x = np.repeat(0.5 + 0.05 * sign, 16, axis=1)
    x[:, :2] = rng.normal(0.5 + 0.25 * sign, 0.1, (n, 2)).clip(0, 1)
    return Split(pl.Series(map(str, range(n))), x.astype(np.float32).reshape(n, 1, 4, 4), labels)


TRAPS = Dataset(
    "traps", "image", ("a", "b"), BOX, {"train": traps(200, 0), "validation": traps(200, 1)}, "1" * 64
)


def test_robustness_is_learnt_that_plain_training_does_not_give() -> None:
    robust = {}
    for name in ("plain", "pgd", "trades", "mart", "fast"):
        judge = recipe(12, objective=name if name != "plain" else "pgd").model_copy(
            update={"learning_rate": 1e-2}
        )
        fields = judge.model_dump() | ({"kind": "standard", "adversary": None} if name == "plain" else {})
        model = train(Recipe(**fields), TRAPS, seed=0).classifier
        step = AdversarialStep(model, judge, examples=40, space=BOX, device=CPU, bf16=False)
        robust[name] = step.score(Examples.of(TRAPS.splits["validation"], model, CPU), generator())
    plain = robust.pop("plain")
    assert plain is not None
    assert plain < 0.05
    assert all(score is not None and score > 0.85 for score in robust.values())


class Line(Classifier):
    """Two classes and their line: what stands in a ball of L∞ has a margin above eps·‖w‖₁."""

    def __init__(self, weight: list[float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, inputs: Tensor) -> Tensor:
        score_B = inputs.flatten(1) @ self.weight
        return torch.stack([-score_B, score_B], 1)


def test_the_score_of_a_line_is_its_exact_robust_accuracy() -> None:
    model = Line([1.0, -2.0, 0.5])
    x = torch.randn(300, 3, generator=generator(7))
    y_N = torch.randint(0, 2, (300,), generator=generator(8))
    step = AdversarialStep(
        model,
        recipe(eps=0.2, watch=10, objective="trades", ramp=1.0),
        examples=300,
        space=ImageBox((3,), low=-100, high=100),
        device=CPU,
        bf16=False,
    )
    margin_N = (2 * y_N - 1) * (x @ model.weight.detach())
    expected = float((margin_N > 0.2 * 3.5).float().mean())
    assert step.score(Examples(x, y_N), generator()) == pytest.approx(expected)
    assert 0.1 < expected < 0.45
    unwatched = recipe(watch=0)
    step = AdversarialStep(model, unwatched, examples=9, space=BOX, device=CPU, bf16=False)
    assert step.score(Examples(x, y_N), generator()) is None


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[float]], list[str]]:
    """(scores) → the digests of the weights each one was given to, as they come."""

    def plant(scores: list[float]) -> list[str]:
        seen: list[str] = []

        def score(step: AdversarialStep, held_out: Examples, draws: torch.Generator) -> float:
            assert len(held_out) == 60
            seen.append(weights_digest(step.classifier.state_dict()))
            return scores[len(seen) - 1]

        monkeypatch.setattr(AdversarialStep, "score", score)
        return seen

    return plant


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_a_collapse_ends_training_and_the_best_epoch_is_kept(
    average: float, planted: Callable[[list[float]], list[str]]
) -> None:
    seen, epochs = planted([0.7, 0.8, 0.75, 0.39]), []
    what = recipe(epochs=6).model_copy(update={"average": average})
    record = train(what, BLOBS, seed=0, progress=lambda p: epochs.append((p.epoch, p.score))).record
    assert epochs == [(1, 0.7), (2, 0.8), (3, 0.75), (4, 0.39)]
    assert record.weights_digest == seen[1]
    assert len(set(seen)) == 4
    assert record.metrics["best_epoch"] == 2
    assert record.metrics["validation_score"] == 0.8
    assert record.metrics["collapsed"] == 1


def test_the_best_epoch_survives_a_stop(planted: Callable[[list[float]], list[str]], tmp_path: Path) -> None:
    path, seen = tmp_path / "run.ckpt", planted([0.7, 0.8, 0.75, 0.78])
    with pytest.raises(_StopError):
        train(recipe(), BLOBS, seed=0, checkpoint=path, progress=stop_after(3))
    record = train(recipe(), BLOBS, seed=0, checkpoint=path).record
    assert record.weights_digest == seen[1]
    assert (record.metrics["best_epoch"], record.metrics["collapsed"]) == (2, 0)


def test_a_run_stopped_at_its_collapse_stays_ended(
    planted: Callable[[list[float]], list[str]], tmp_path: Path
) -> None:
    path, seen = tmp_path / "run.ckpt", planted([0.8, 0.1])
    with pytest.raises(_StopError):
        train(recipe(), BLOBS, seed=0, checkpoint=path, progress=stop_after(2))
    record = train(recipe(), BLOBS, seed=0, checkpoint=path).record
    assert len(seen) == 2
    assert record.weights_digest == seen[0]
    assert record.metrics["collapsed"] == 1


def test_a_score_that_never_beat_one_answer_for_all_cannot_collapse(
    planted: Callable[[list[float]], list[str]],
) -> None:
    commonest = np.bincount(BLOBS.splits["validation"].labels).max() / 60
    seen = planted([commonest, 0.1, 0.2, 0.9])
    record = train(recipe(), BLOBS, seed=0).record
    assert record.weights_digest == seen[3]
    assert (record.metrics["best_epoch"], record.metrics["collapsed"]) == (4, 0)


def test_an_attack_that_goes_blind_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fifth of training the inner attack moves nothing, and decay lets the model forget what it cost.

    Loss and clean accuracy see nothing of it.
    """
    sound = InnerAttack.worst

    def blinded(self: InnerAttack, x: Tensor, y_B: Tensor, *, progress: float, generator: Any) -> Tensor:
        return x if progress >= 0.2 else sound(self, x, y_B, progress=progress, generator=generator)

    monkeypatch.setattr(InnerAttack, "worst", blinded)
    what = recipe(30).model_copy(update={"learning_rate": 5e-2, "weight_decay": 1.0, "schedule": "constant"})
    seen: list[TrainingProgress] = []
    version = train(what, TRAPS, seed=0, progress=seen.append)
    metrics = version.record.metrics
    assert metrics["collapsed"] == 1
    assert metrics["best_epoch"] <= 8 < len(seen) < 30
    assert metrics["validation_score"] == max(cast("float", epoch.score) for epoch in seen) > 0.9
    assert seen[-1].validation_accuracy > 0.98
    assert seen[-1].loss < seen[5].loss
    step = AdversarialStep(version.classifier, what, examples=40, space=BOX, device=CPU, bf16=False)
    held_out = Examples.of(TRAPS.splits["validation"], version.classifier, CPU)
    assert step.score(held_out, generator()) == pytest.approx(metrics["validation_score"], abs=0.03)
