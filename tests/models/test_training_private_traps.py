"""Where DP training goes wrong elsewhere (Opacus 1.6 unless said), and the test that we do not.

Of test_training_private… are G: _gradients, A: _accounting, T: the file without more to its name.

| trap | test |
|---|---|
| ghost clipping of a loss that is one number for the batch clips nothing | G a_loss_that_is_one_number… |
| float32 Gram matrices give too small a norm | G a_ghost_norm_is_not_too_small… |
| 4-D inputs of a linear layer crash | G every_rule_is_right_by_itself |
| tied layers, a parameter on the root module | G what_hooks_cannot_do… |
| DPMultiheadAttention(batch_first=True) is wrong | the_library_s_attention… |
| BatchNorm without weights, or frozen, passes validation | every_batch_norm… |
| gradients of an interrupted step are added to the next | nothing_of_an_interrupted_step…, a_run_stopped… |
| q = 1 / len(loader) is off by one | the_accountant_gets_the_rate_of_the_coins |
| fixed batches are certified as Poisson | no_recipe_can_ask_for_fixed_batches; T batches_are_poisson |
| the divisor follows the private number of examples | the_divisor_is_a_constant… |
| empty batches crash | T empty_batches_train |
| PRV fails for nothing spent; the central limit says too little | A nothing_spent…, the_central_limit… |
| ModuleValidator.fix replaces layers by ones that cannot be pickled | validation_leaves_the_model… |
| the best epoch is chosen by private data | no_epoch_is_chosen |
| trials of one seed are added up as if their noise were independent | two_runs_of_one_seed… |
"""

import math
import pickle
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from raiaudit.attacks.spaces import ImageBox
from raiaudit.errors import UsageError
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.architectures.cnn import ConvNet
from raiaudit.models.architectures.mlp import MLP
from raiaudit.models.data.dataset import Dataset, Split
from raiaudit.models.recipe import Adversary, PrivacyBudget, Recipe
from raiaudit.models.training import train
from raiaudit.models.training.data import Batch
from raiaudit.models.training.gradient_mode import alone, chosen
from raiaudit.models.training.private import PrivateStep

CPU, IMAGES = torch.device("cpu"), ImageBox((1, 4, 4))
BUDGET = {"epsilon": 2.0, "delta": 1e-4, "gradients": "hooks"}


def recipe(*, privacy: dict[str, Any] | None = None, **changes: Any) -> Recipe:
    budget = PrivacyBudget(**{**BUDGET, **(privacy or {})})
    settings: dict[str, Any] = {"architecture": "mlp", "epochs": 2, "batch_size": 16, **changes}
    return Recipe(kind="private", privacy=budget, **settings)


def step_for(model: Classifier, *, examples: int = 80, **changes: Any) -> PrivateStep:
    return PrivateStep(model, recipe(**changes), examples=examples, space=IMAGES, device=CPU)


def batch(n: int, classes: int = 2) -> Batch:
    return Batch(torch.rand(n, 1, 4, 4), torch.arange(n) % classes, torch.arange(n))


def blobs(n: int = 80) -> Dataset:
    rng = np.random.default_rng(0)

    def split(n: int) -> Split:
        labels = rng.integers(0, 2, n)
        x = rng.normal(0.35 + 0.3 * labels[:, None], 0.1, (n, 16)).clip(0, 1).reshape(n, 1, 4, 4)
        return Split(pl.Series([str(i) for i in range(n)]), x.astype(np.float32), labels)

    splits = {"train": split(n), "validation": split(50)}
    return Dataset("blobs", "image", ("a", "b"), IMAGES, splits, "0" * 64)


def gradient_of(step: PrivateStep, what: Batch, seed: int = 0) -> Tensor:
    """The noisy gradient, flat."""
    step.gradients(what, 0.0, torch.Generator().manual_seed(seed))
    return torch.cat([p.grad.flatten() for p in step.classifier.parameters() if p.grad is not None])


def noiseless(step: PrivateStep) -> PrivateStep:
    step.sigma = 0.0
    return step


class _Attending(nn.Module):
    """The library's attention, which is a module with its own projection parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x_BLD: Tensor) -> Tensor:
        mixed_BLD, _ = self.attention(x_BLD, x_BLD, x_BLD)
        logits: Tensor = self.head(mixed_BLD.mean(1))
        return logits


def test_the_library_s_attention_is_left_to_vmap_which_has_it_right() -> None:
    torch.manual_seed(0)
    model, x_BV, y_B = _Attending(), torch.randn(4, 1, 5, 4), torch.tensor([0, 1, 2, 0])
    with pytest.raises(UsageError, match="attention: no rule for the parameters of MultiheadAtt"):
        chosen("hooks", model, x_BV, y_B, 0.1, label_smoothing=0.0)
    mode = chosen("auto", model, x_BV, y_B, 0.1, label_smoothing=0.0)
    found = mode.clipped(x_BV, y_B, 0.1)
    right = alone(model, x_BV, y_B, 0.1, label_smoothing=0.0)
    assert mode.name == "vmap"
    assert torch.allclose(found.norms_B, right.norms_B, rtol=1e-4)
    for name, total in right.sums.items():
        assert torch.allclose(found.sums[name], total, atol=1e-5), name


@pytest.mark.parametrize("how", ["affine", "without weights", "frozen", "1d"])
def test_every_batch_norm_that_reads_the_batch_is_refused(how: str) -> None:
    model = ConvNet([1, 8, 8], 2, width=4)
    norm = nn.BatchNorm1d(8) if how == "1d" else nn.BatchNorm2d(8, affine=how != "without weights")
    if how == "frozen":
        norm.requires_grad_(False)
    model.features.append(norm)
    with pytest.raises(UsageError, match=r"BatchNorm mixes a batch(.|\n)*norm: group"):
        step_for(model)


def test_nothing_of_an_interrupted_step_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    step, what = step_for(MLP([1, 4, 4], 2, hidden=8)), batch(12)
    right = gradient_of(step, what)
    assert step.mode is not None
    with monkeypatch.context() as patched:
        patched.setattr("raiaudit.models.training.hooks._CHUNK_BYTES", 10_000)
        patched.setattr(step.mode, "chunks", {})
        calls = iter(range(2))
        parts = step.mode._parts  # type: ignore[attr-defined]

        def stopped(*arguments: Any) -> Any:
            if next(calls) == 1:  # the first chunk is summed, the second never is
                raise KeyboardInterrupt
            return parts(*arguments)

        patched.setattr(step.mode, "_parts", stopped)
        with pytest.raises(KeyboardInterrupt):
            gradient_of(step, what)
    for parameter in step.classifier.parameters():
        parameter.grad = torch.full_like(parameter, 1e6)
    assert torch.allclose(gradient_of(step, what), right, atol=1e-6)
    assert not any(module._forward_hooks for module in step.classifier.modules())


def test_a_run_stopped_within_an_epoch_ends_with_the_steps_it_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = train(recipe(), blobs(), seed=1).record
    real, calls = PrivateStep.gradients, iter(range(8))

    def stopped(*arguments: Any) -> Tensor:
        if next(calls) == 7:  # the third of the second epoch's five
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(PrivateStep, "gradients", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(recipe(), blobs(), seed=1, checkpoint=tmp_path / "c")
    resumed = train(recipe(), blobs(), seed=1, checkpoint=tmp_path / "c").record
    assert resumed.weights_digest == undisturbed.weights_digest
    assert resumed.privacy == undisturbed.privacy
    assert resumed.privacy is not None
    assert resumed.privacy.steps == 2 * 5


@pytest.mark.parametrize(("examples", "size", "steps"), [(1000, 600, 2), (103, 10, 10), (80, 80, 1)])
def test_the_accountant_gets_the_rate_of_the_coins(
    examples: int, size: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, float] = {}

    def search(**settings: float) -> float:
        asked.update(settings)
        return 1.0

    monkeypatch.setattr("raiaudit.models.training.private.noise_multiplier", search)
    step = step_for(MLP([1, 4, 4], 2, hidden=8), examples=examples, batch_size=size, epochs=3)
    assert asked["sample_rate"] == step.sample_rate == size / examples
    assert asked["steps"] == 3 * steps
    generator = torch.Generator().manual_seed(0)
    drawn = [len(index_B) for _ in range(300) for index_B in step.batches(generator)]
    assert len(drawn) == 300 * steps
    error = math.sqrt(examples * step.sample_rate * (1 - step.sample_rate) / len(drawn))
    assert abs(np.mean(drawn) - size) <= 4 * error


def test_no_recipe_can_ask_for_fixed_batches() -> None:
    with pytest.raises(ValidationError, match="poisson_sampling"):
        PrivacyBudget(epsilon=1, delta=1e-5, poisson_sampling=False)  # type: ignore[call-arg]


def test_the_divisor_is_a_constant_of_the_recipe() -> None:
    torch.manual_seed(0)
    model, what = MLP([1, 4, 4], 2, hidden=8), batch(12)
    steps = [noiseless(step_for(model, examples=examples)) for examples in (80, 81)]
    assert steps[0].divisor == steps[1].divisor == 16
    assert torch.equal(gradient_of(steps[0], what), gradient_of(steps[1], what))


def test_validation_leaves_the_model_as_it_is() -> None:
    model = ConvNet([1, 8, 8], 2, width=4)
    before = list(model.modules())
    step_for(model)
    assert all(now is was for now, was in zip(model.modules(), before, strict=True))
    pickle.loads(pickle.dumps(model))


def test_no_epoch_is_chosen() -> None:
    assert step_for(MLP([1, 4, 4], 2, hidden=8)).score(None, torch.Generator()) is None  # type: ignore[arg-type]


def test_views_are_averaged_before_clipping() -> None:
    """Against a loop over examples and views, with the views the step drew."""
    torch.manual_seed(0)
    model, what = MLP([1, 4, 4], 2, hidden=8), batch(5)
    step = noiseless(step_for(model, augment="shift", privacy={"augmentations": 4, "clip": 0.3}))
    x_BV = step.views(what, 0.0, torch.Generator().manual_seed(0))
    assert x_BV.shape == (5, 4, 1, 4, 4)
    assert len({view.numpy().tobytes() for view in x_BV[0]}) > 1
    right = torch.zeros(sum(p.numel() for p in model.parameters()))
    for views_V, label in zip(x_BV, what.y_B, strict=True):
        mean = torch.zeros_like(right)
        for view in views_V:
            model.zero_grad()
            nn.functional.cross_entropy(model(view[None]), label[None]).backward()  # type: ignore[no-untyped-call]
            mean += torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]) / 4
        right = right + mean * min(1.0, 0.3 / float(mean.norm()))
    assert torch.allclose(gradient_of(step, what) * step.divisor, right, atol=1e-5)


@pytest.mark.parametrize("objective", ["pgd", "fast"])
def test_an_adversary_moves_each_example_alone_and_one_example_still_counts_at_most_the_clip(
    objective: Literal["pgd", "fast"], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model, what = MLP([1, 4, 4], 2, hidden=8), batch(6)
    adversary = Adversary(eps=0.1, steps=3, objective=objective)
    step = noiseless(step_for(model, adversary=adversary, privacy={"clip": 0.2}))
    moved = step.views(what, 0.5, torch.Generator().manual_seed(0))
    gap = (moved[:, 0] - what.x).abs()
    assert gap.max() > 0.05
    assert gap.max() <= (0.1 if objective == "pgd" else 0.3) + 1e-6
    losses = [nn.functional.cross_entropy(model(x), what.y_B) for x in (what.x, moved[:, 0])]
    assert losses[1] > losses[0]

    # Random starts differ with the place in the batch, for every example alike: without them, nothing does.
    monkeypatch.setattr(torch, "rand", lambda *size, **how: torch.full(tuple(size[0]), 0.5))
    others = Batch(what.x[1:], what.y_B[1:], what.index_B[1:])
    both = [step.views(part, 0.5, torch.Generator()) for part in (what, others)]
    assert torch.allclose(both[0][1:], both[1], atol=1e-6)
    change = (gradient_of(step, what) - gradient_of(step, others)).norm() * step.divisor
    assert 0.1 < change <= 0.2 + 1e-5


def test_adversarial_and_private_at_once_trains_and_is_certified() -> None:
    privacy = train(recipe(adversary=Adversary(eps=0.05, steps=2)), blobs(), seed=0).record.privacy
    assert privacy is not None
    assert privacy.certified
    assert privacy.gradients == "hooks"
    assert privacy.max_clipped_norm <= 1 + 1e-4


def test_two_runs_of_one_seed_draw_noise_that_cancels() -> None:
    """Why `privacy.accounting` adds up no trials that share a seed: the first steps of two runs, of ε = 8 and
    of ε = 1, give the sum that both were to hide.
    """
    torch.manual_seed(0)
    rows, model = batch(6), MLP([1, 4, 4], 2)
    hidden = gradient_of(noiseless(step_for(model)), rows)
    weak, strong = (step_for(model, privacy={"epsilon": epsilon}) for epsilon in (8.0, 1.0))
    loud, louder = (gradient_of(step, rows, seed=3) for step in (weak, strong))
    assert float((loud - hidden).norm()) > 0.5 * float(hidden.norm())
    recovered = (strong.sigma * loud - weak.sigma * louder) / (strong.sigma - weak.sigma)
    torch.testing.assert_close(recovered, hidden, atol=1e-5, rtol=1e-4)
