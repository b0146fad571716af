"""DP-SGD: clipping, noise, sampling and accounting, each against a closed form or Opacus."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from scipy import stats
from torch import nn

from raiaudit.attacks.spaces import Column, ImageBox, TableSchema
from raiaudit.errors import UsageError
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.architectures.cnn import ConvNet
from raiaudit.models.architectures.mlp import MLP
from raiaudit.models.data.dataset import Dataset, Split
from raiaudit.models.recipe import PrivacyBudget, Recipe
from raiaudit.models.training import TrainingProgress, train
from raiaudit.models.training.data import Batch
from raiaudit.models.training.private import PrivateStep

CPU = torch.device("cpu")


def recipe(**changes: Any) -> Recipe:
    """A private MLP recipe."""
    settings: dict[str, Any] = {
        "kind": "private",
        "architecture": "mlp",
        "epochs": 2,
        "batch_size": 16,
        "privacy": PrivacyBudget(epsilon=8, delta=1e-4, gradients="hooks"),  # the same one every time
    }
    return Recipe(**{**settings, **changes})


def step_for(classifier: Classifier, *, examples: int = 64, **changes: Any) -> PrivateStep:
    return PrivateStep(
        classifier, recipe(**changes), examples=examples, space=ImageBox((1, 8, 8)), device=CPU
    )


def image_data(n: int = 80) -> Dataset:
    rng = np.random.default_rng(0)

    def split(n: int) -> Split:
        labels = rng.integers(0, 2, n)
        x = rng.normal(0.35 + 0.3 * labels[:, None], 0.1, (n, 16)).clip(0, 1).reshape(n, 1, 4, 4)
        return Split(pl.Series([str(i) for i in range(n)]), x.astype(np.float32), labels)

    splits = {"train": split(n), "validation": split(50)}
    return Dataset("blobs", "image", ("a", "b"), ImageBox((1, 4, 4)), splits, "0" * 64)


def batch_of(x: torch.Tensor, y_B: torch.Tensor) -> Batch:
    return Batch(x, y_B, torch.arange(len(y_B)))


def test_without_noise_or_clipping_it_is_plain_sgd_over_a_constant_divisor() -> None:
    torch.manual_seed(0)
    model = MLP([5], 3, hidden=8)
    step = step_for(model, privacy=PrivacyBudget(epsilon=8, delta=1e-4, clip=1e6))
    step.sigma = 0.0
    x, y_B = torch.randn(11, 5), torch.arange(11) % 3
    loss = step.gradients(batch_of(x, y_B), 0.0, torch.Generator())
    private = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    plain = nn.functional.cross_entropy(model(x), y_B, reduction="sum")
    (plain / 16).backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(plain.item() / 11, rel=1e-5)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        assert torch.allclose(private[name], parameter.grad, atol=1e-6), name


def test_one_example_moves_the_sum_by_at_most_the_clip() -> None:
    torch.manual_seed(0)
    model = MLP([5], 3, hidden=8)
    step = step_for(model, privacy=PrivacyBudget(epsilon=8, delta=1e-4, clip=0.5))
    x, y_B = torch.randn(12, 5), torch.arange(12) % 3
    x[0] *= 1e6

    def update(rows: slice) -> torch.Tensor:
        step.gradients(batch_of(x[rows], y_B[rows]), 0.0, torch.Generator().manual_seed(1))
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    moved = (update(slice(0, 12)) - update(slice(1, 12))).norm() * step.divisor
    assert 0.4 < moved <= 0.5 + 1e-4
    assert step.state["max_clipped_norm"] == pytest.approx(0.5, abs=1e-5)


def test_the_noise_is_gaussian_of_the_stated_scale_even_for_an_empty_batch() -> None:
    model = MLP([50], 2, hidden=200)
    step = step_for(model, privacy=PrivacyBudget(epsilon=8, delta=1e-4, clip=0.5))
    nobody = batch_of(torch.zeros(0, 50), torch.zeros(0, dtype=torch.int64))
    loss = step.gradients(nobody, 0.0, torch.Generator().manual_seed(0))
    noise = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    scale = step.sigma * 0.5 / step.divisor
    assert loss.item() == 0
    assert stats.kstest(noise.numpy() / scale, "norm").pvalue > 1e-3


def test_batches_are_poisson() -> None:
    step = step_for(MLP([5], 3), examples=200, batch_size=5)
    assert step.steps_per_epoch == 40
    generator = torch.Generator().manual_seed(0)
    batches = [batch for _ in range(100) for batch in step.batches(generator)]
    sizes = np.array([len(batch) for batch in batches])
    # Binomial(200, 1/40): the whole distribution of sizes, which a fixed-size sampler would fail.
    observed = np.bincount(sizes.clip(max=11), minlength=12)
    probabilities = stats.binom.pmf(np.arange(12), 200, 1 / 40)
    probabilities[11] = 1 - probabilities[:11].sum()
    assert stats.chisquare(observed, probabilities * len(batches)).pvalue > 1e-3
    counts = torch.cat(batches).bincount(minlength=200).numpy()
    assert (
        stats.kstest(
            counts + np.random.default_rng(0).uniform(-0.5, 0.5, 200),
            stats.norm(100, math.sqrt(4000 * 39 / 1600)).cdf,
        ).pvalue
        > 1e-3
    )


def test_the_record_says_what_was_spent() -> None:
    version = train(recipe(epochs=3), image_data(), seed=0)
    privacy = version.record.privacy
    assert privacy is not None
    assert (privacy.sample_rate, privacy.steps, privacy.public_divisor) == (0.2, 15, 16)
    assert privacy.epsilon_pld <= privacy.target_epsilon == 8
    assert privacy.epsilon_prv == pytest.approx(privacy.epsilon_pld, rel=0.02)
    assert 0.1 < privacy.max_clipped_norm <= 1 + 1e-4
    assert privacy.certified
    assert privacy.why == ""
    assert version.classifier.config["normalization"] == "fixed"


def test_epsilon_is_not_certified_when_the_rows_were_used_outside_the_noisy_steps() -> None:
    images = train(recipe(options={"normalization": "train"}), image_data(), seed=0).record.privacy
    assert images is not None
    assert not images.certified
    assert "normalisation statistics" in images.why

    schema = TableSchema((Column("age", "real"), Column("job", "category", categories=("a", "b"))))
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.uniform(0, 1, 80), np.eye(2)[rng.integers(0, 2, 80)]]).astype(np.float32)
    split = Split(pl.Series([str(i) for i in range(80)]), rows, rng.integers(0, 2, 80))
    table = Dataset("t", "tabular", ("a", "b"), schema, {"train": split, "validation": split}, "1" * 64)
    privacy = train(recipe(), table, seed=0).record.privacy
    assert privacy is not None
    assert not privacy.certified
    assert "column ranges" in privacy.why


def test_empty_batches_train() -> None:
    version = train(recipe(batch_size=1, epochs=2), image_data(40), seed=0)
    assert version.record.privacy is not None
    assert version.record.privacy.steps == 80
    assert all(parameter.isfinite().all() for parameter in version.classifier.parameters())


def test_a_resumed_private_run_ends_with_the_same_weights_and_the_same_record(tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(progress: TrainingProgress) -> None:
        if progress.epoch == 2:
            raise StopError

    settings = recipe(epochs=4, options={"dropout": 0.2})
    undisturbed = train(settings, image_data(), seed=3).record
    with pytest.raises(StopError):
        train(settings, image_data(), seed=3, checkpoint=tmp_path / "c", progress=stop)
    resumed = train(settings, image_data(), seed=3, checkpoint=tmp_path / "c").record
    assert resumed.weights_digest == undisturbed.weights_digest
    assert resumed.privacy == undisturbed.privacy


def test_layers_that_mix_a_batch_are_refused() -> None:
    with pytest.raises(UsageError, match=r"BatchNorm mixes a batch(.|\n)*norm: group"):
        train(recipe(architecture="resnet18", options={"width": 8}), image_data(), seed=0)
    # Opacus' own validator lets this one pass.
    hidden = ConvNet([1, 8, 8], 2)
    hidden.features.append(nn.BatchNorm2d(32, affine=False))
    with pytest.raises(UsageError, match="BatchNorm mixes a batch"):
        step_for(hidden)


def test_a_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(UsageError, match="larger than the 80 training examples"):
        train(recipe(batch_size=81), image_data(), seed=0)
