"""Training: it learns, repeats itself, resumes exactly after a kill -9, and leaves the process as it was."""

import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from raiaudit.attacks.spaces import ImageBox
from raiaudit.errors import ArtifactRefusedError, RaiauditError, UsageError
from raiaudit.models.architectures.cnn import ConvNet
from raiaudit.models.architectures.mlp import MLP
from raiaudit.models.data import load_dataset
from raiaudit.models.data.dataset import Dataset, Split
from raiaudit.models.recipe import Recipe
from raiaudit.models.training import TrainingProgress, train
from raiaudit.models.training.augment import moved
from raiaudit.models.training.data import Examples, accuracy
from raiaudit.models.training.loop import follow, one_cycle
from raiaudit.models.training.standard import StandardStep
from raiaudit.models.weights import load_weights, save_weights, weights_digest

CPU = torch.device("cpu")
DIGITS = load_dataset("digits")
SMALL = Recipe(
    architecture="cnn", options={"width": 8, "hidden": 32}, epochs=3, train_limit=256, learning_rate=8e-3
)
DROPPING = Recipe(
    architecture="mlp", options={"dropout": 0.3}, epochs=4, train_limit=200, batch_size=32, augment="shift"
)


def blobs(n: int, seed: int) -> Split:
    """Two classes of 4×4 images that a line separates."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    x = rng.normal(0.35 + 0.3 * labels[:, None], 0.1, (n, 16)).clip(0, 1).reshape(n, 1, 4, 4)
    return Split(pl.Series([str(i) for i in range(n)]), x.astype(np.float32), labels)


BLOBS = Dataset(
    "blobs",
    "image",
    ("dark", "light"),
    ImageBox((1, 4, 4)),
    {"train": blobs(300, 0), "validation": blobs(100, 1)},
    "0" * 64,
)


def test_it_learns_what_can_be_learned_and_reports_the_validation_accuracy() -> None:
    seen: list[TrainingProgress] = []
    recipe = Recipe(architecture="mlp", epochs=5, batch_size=32)
    version = train(recipe, BLOBS, seed=0, progress=seen.append)
    examples = Examples.of(BLOBS.splits["validation"], version.classifier, CPU)
    assert version.record.metrics["validation_accuracy"] == accuracy(version.classifier, examples) > 0.98
    assert [progress.epoch for progress in seen] == [1, 2, 3, 4, 5]
    assert seen[-1].loss < seen[0].loss
    assert seen[-1].validation_accuracy == version.record.metrics["validation_accuracy"]
    assert not version.classifier.training


def test_noise_labels_are_scored_at_chance_on_validation_although_learned_by_heart() -> None:
    rng = np.random.default_rng(0)
    noise = BLOBS.splits["train"].take(slice(100))
    fair = Split(noise.ids, noise.inputs, rng.permutation(np.arange(100) % 2))
    held = blobs(400, 3)
    held = Split(held.ids, held.inputs, rng.permutation(np.arange(400) % 2))
    data = Dataset("noise", "image", ("a", "b"), BLOBS.space, {"train": fair, "validation": held}, "1" * 64)
    recipe = Recipe(architecture="mlp", epochs=150, batch_size=100, weight_decay=0, learning_rate=5e-3)
    version = train(recipe, data, seed=0)
    by_heart = accuracy(version.classifier, Examples.of(fair, version.classifier, CPU))
    assert by_heart > 0.9
    assert 0.4 < version.record.metrics["validation_accuracy"] < 0.6


@pytest.mark.parametrize("recipe", [SMALL, DROPPING], ids=["cnn", "mlp-dropout-shift"])
def test_the_seed_decides_the_weights(recipe: Recipe) -> None:
    first, again, other = (train(recipe, DIGITS, seed=seed).record.weights_digest for seed in (0, 0, 1))
    assert first == again != other


def test_rows_outside_the_indices_have_no_influence() -> None:
    indices = np.arange(0, 200, 2)
    split = DIGITS.splits["train"]
    spoiled_inputs = split.inputs.copy()
    spoiled_inputs[1::2] = 1.0
    spoiled = Split(split.ids, spoiled_inputs, split.labels)
    data = Dataset(
        DIGITS.name,
        "image",
        DIGITS.classes,
        DIGITS.space,
        {"train": spoiled, "validation": DIGITS.splits["validation"]},
        DIGITS.digest,
    )
    clean = train(SMALL, DIGITS, seed=0, indices=indices)
    assert clean.record.metrics["training_examples"] == 100
    assert train(SMALL, data, seed=0, indices=indices).record.weights_digest == clean.record.weights_digest
    shifted = train(SMALL, data, seed=0, indices=indices + 1)
    assert shifted.record.weights_digest != clean.record.weights_digest


def test_torchs_global_generator_is_left_alone() -> None:
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    train(DROPPING, DIGITS, seed=0)
    assert torch.equal(torch.rand(3), expected)


def test_small_work_has_the_same_weights_on_any_number_of_threads() -> None:
    threads = torch.get_num_threads()
    digests = set()
    for count in (1, 2):
        torch.set_num_threads(count)
        digests.add(train(SMALL, DIGITS, seed=0).record.weights_digest)
        assert torch.get_num_threads() == count
    torch.set_num_threads(threads)
    assert len(digests) == 1


class _StopError(Exception):
    pass


def _stop_after(epoch: int) -> Any:
    def report(progress: TrainingProgress) -> None:
        if progress.epoch == epoch:
            raise _StopError

    return report


@pytest.mark.parametrize(
    "recipe",
    [
        SMALL,
        DROPPING,
        SMALL.model_copy(update={"optimizer": "sgd", "learning_rate": 0.05}),
        SMALL.model_copy(update={"average": 0.9}),
    ],
    ids=["cnn", "mlp-dropout-shift", "sgd", "average"],
)
def test_a_resumed_run_ends_with_the_weights_of_an_undisturbed_one(recipe: Recipe, tmp_path: Path) -> None:
    undisturbed = train(recipe, DIGITS, seed=5).record
    path = tmp_path / "run.ckpt"
    with pytest.raises(_StopError):
        train(recipe, DIGITS, seed=5, checkpoint=path, progress=_stop_after(2))
    epochs: list[int] = []
    resumed = train(recipe, DIGITS, seed=5, checkpoint=path, progress=lambda p: epochs.append(p.epoch))
    assert epochs[0] == 3
    assert resumed.record.weights_digest == undisturbed.weights_digest
    assert resumed.record.metrics == undisturbed.metrics


def test_resume_after_kill_minus_nine(tmp_path: Path) -> None:
    path, recipe_file = tmp_path / "run.ckpt", tmp_path / "recipe.json"
    recipe_file.write_text(json.dumps(SMALL.model_dump(mode="json")))
    script = textwrap.dedent(
        """
        import os, pathlib, signal, sys
        from raiaudit.models.data import load_dataset
        from raiaudit.models.recipe import Recipe
        from raiaudit.models.training import train
        recipe = Recipe.model_validate_json(pathlib.Path(sys.argv[1]).read_text())
        def report(progress):
            if progress.epoch == 2 and sys.argv[3] == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
        checkpoint = pathlib.Path(sys.argv[2])
        version = train(recipe, load_dataset("digits"), seed=9, checkpoint=checkpoint, progress=report)
        print(version.record.weights_digest)
        """
    )

    def run(mode: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", script, str(recipe_file), str(path), mode]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert run("kill").returncode == -signal.SIGKILL
    assert path.exists()
    resumed = run("finish")
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.strip() == train(SMALL, DIGITS, seed=9).record.weights_digest


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_checkpoint_is_reported_and_training_starts_over(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    with pytest.raises(_StopError):
        train(SMALL, DIGITS, seed=0, checkpoint=path, progress=_stop_after(1))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    harmed = {"truncated": bytes(content[: len(content) // 2]), "flipped": bytes(content), "empty": b""}
    path.write_bytes(harmed[damage])
    epochs: list[int] = []
    with pytest.warns(UserWarning, match="damaged checkpoint, training starts over"):
        version = train(SMALL, DIGITS, seed=0, checkpoint=path, progress=lambda p: epochs.append(p.epoch))
    assert epochs == [1, 2, 3]
    assert version.record.weights_digest == train(SMALL, DIGITS, seed=0).record.weights_digest


def test_a_checkpoint_of_another_seed_is_not_resumed(tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    train(SMALL, DIGITS, seed=0, checkpoint=path)
    with pytest.warns(UserWarning, match="another training run"):
        other = train(SMALL, DIGITS, seed=1, checkpoint=path)
    assert other.record.weights_digest == train(SMALL, DIGITS, seed=1).record.weights_digest


def test_divergence_is_an_error_with_a_remedy() -> None:
    recipe = SMALL.model_copy(update={"optimizer": "sgd", "learning_rate": 1e30, "schedule": "constant"})
    with pytest.raises(RaiauditError, match=r"diverged(.|\n)*lower learning_rate"):
        train(recipe, DIGITS, seed=0)


def test_an_unknown_device_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="unknown device 'abacus'"):
        train(SMALL, DIGITS, seed=0, device="abacus")


def test_one_cycle_rises_to_one_and_falls_to_zero() -> None:
    assert one_cycle(0.0) == pytest.approx(1 / 25)
    assert one_cycle(0.25) == pytest.approx(1)
    assert one_cycle(0.625) == pytest.approx(0.5)
    assert one_cycle(1.0) == pytest.approx(0, abs=1e-12)


def test_the_average_follows_the_weights_as_its_formula_says() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = {"weight": torch.zeros(1, 1)}
    for value in (1.0, 2.0):
        nn.init.constant_(model.weight, value)
        follow(average, model, 0.9)
    assert average["weight"].item() == pytest.approx(0.9 * (0.1 * 1) + 0.1 * 2)


def test_the_average_is_what_is_returned() -> None:
    last, averaged = (
        train(SMALL.model_copy(update={"average": decay}), DIGITS, seed=0).classifier
        for decay in (0.0, 0.999)
    )
    start = train(SMALL.model_copy(update={"learning_rate": 1e-30}), DIGITS, seed=0).classifier

    def distance(a: nn.Module, b: nn.Module) -> float:
        pairs = zip(a.parameters(), b.parameters(), strict=True)
        return float(sum((p - q).norm().item() for p, q in pairs))

    assert 0 < distance(averaged, start) < distance(last, start)


def test_an_epoch_visits_every_example_once() -> None:
    step = StandardStep(
        MLP([2], 2), Recipe(architecture="mlp", batch_size=10), examples=50, device=CPU, bf16=False
    )
    batches = list(step.batches(torch.Generator().manual_seed(0)))
    assert len(batches) == step.steps_per_epoch == 5
    assert sorted(torch.cat(batches).tolist()) == list(range(50))


def test_a_shift_moves_each_image_whole_and_by_at_most_its_reach() -> None:
    x = torch.zeros(200, 1, 8, 8)
    x[:, 0, 4, 4] = 1.0
    shifted = moved(x, "shift", torch.Generator().manual_seed(0))
    places = {tuple(place) for place in shifted.nonzero()[:, 2:].tolist()}
    assert (shifted.sum(dim=(1, 2, 3)) == 1).all()
    assert places == {(row, column) for row in (3, 4, 5) for column in (3, 4, 5)}
    assert torch.equal(moved(x, "none", torch.Generator()), x)


def test_crop_flip_mirrors_about_half() -> None:
    x = torch.arange(32.0).expand(400, 1, 32, 32)
    mirrored = moved(x, "crop-flip", torch.Generator().manual_seed(0))
    falling = (mirrored[:, 0, 16, 10] > mirrored[:, 0, 16, 20]).float().mean().item()
    assert 0.4 < falling < 0.6


def test_weights_make_the_round_trip_and_a_stranger_is_refused(tmp_path: Path) -> None:
    model, path = ConvNet([1, 8, 8], 10), tmp_path / "weights.safetensors"
    model.standardize.mean.fill_(0.3)
    save_weights(model, path)
    again = ConvNet([1, 8, 8], 10)
    load_weights(again, path)
    assert weights_digest(again.state_dict()) == weights_digest(model.state_dict())
    with pytest.raises(ArtifactRefusedError, match="do not fit"):
        load_weights(ConvNet([1, 8, 8], 9), path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ArtifactRefusedError, match="not a readable safetensors"):
        load_weights(again, path)


def test_the_digest_of_weights_sees_name_type_shape_and_value() -> None:
    base = {"a": torch.zeros(2, 3), "b": torch.ones(2)}
    others = [
        {"a": torch.zeros(3, 2), "b": torch.ones(2)},
        {"a": torch.zeros(2, 3), "c": torch.ones(2)},
        {"a": torch.zeros(2, 3), "b": torch.ones(2, dtype=torch.float64)},
        {"a": torch.zeros(2, 3), "b": torch.tensor([1.0, 1.0000001])},
    ]
    digests = {weights_digest(state) for state in [base, *others]}
    assert len(digests) == 5
    assert weights_digest(dict(reversed(base.items()))) == weights_digest(base)
