"""`train`: a recipe, a data set and a seed to a model version with its lineage."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

import raiaudit
from raiaudit.errors import UsageError
from raiaudit.models.architectures import family
from raiaudit.models.recipe import POST_PROCESSING, TRAINING_VERSION
from raiaudit.models.training import precision
from raiaudit.models.training.adversarial import AdversarialStep
from raiaudit.models.training.data import Examples, accuracy
from raiaudit.models.training.fair import fair_step
from raiaudit.models.training.loop import Step, TrainingProgress, fit
from raiaudit.models.training.mitigating import decorrelated, with_thresholds
from raiaudit.models.training.private import PrivateStep
from raiaudit.models.training.seeding import derived
from raiaudit.models.training.standard import StandardStep
from raiaudit.models.training.threads import suited_threads
from raiaudit.models.version import ModelVersion, TrainingRecord
from raiaudit.models.weights import weights_digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.data.dataset import Dataset
    from raiaudit.models.recipe import Recipe
    from raiaudit.models.training.canaries import GradientCanaries

__all__ = [
    "device_of",
    "fresh_classifier",
    "repeatable",
    "restricted",
    "run_key",
    "step_of",
    "train",
]


def train(
    recipe: Recipe,
    dataset: Dataset,
    *,
    name: str = "model",
    seed: int,
    device: str = "auto",
    progress: Callable[[TrainingProgress], None] | None = None,
    checkpoint: Path | None = None,
    indices: NDArray[np.int64] | None = None,
    public_examples: int | None = None,
    canaries: GradientCanaries | None = None,
) -> ModelVersion:
    """Train a fresh model on the training split (or its rows `indices`, as shadow models do).

    For audits of a private recipe: `public_examples` is its N where rows were added by coins, `canaries`
    watches every noisy step (`canaries.py`); neither is resumed from a checkpoint.

    `device` is "auto" (CUDA, else CPU) or a torch device; the model comes back on the CPU, in evaluation
    mode. With `checkpoint` the state is saved after every epoch and a killed run resumes exactly; the
    caller removes the file once the model is stored. The record's metrics are of the validation split.
    Torch's global generators are left as they were.
    """
    assert checkpoint is None or (public_examples is None and canaries is None)
    where = device_of(device)
    data = restricted(dataset, recipe, indices)
    with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
        torch.manual_seed(derived(seed, "weights"))
        classifier = fresh_classifier(recipe, data).to(where)
        if precision.channels_last(classifier, recipe):
            classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        examples = Examples.of(data.splits["train"], classifier, where)
        validation = Examples.of(data.splits["validation"], classifier, where)
        bf16 = precision.in_bf16(classifier, recipe, where)
        with suited_threads(recipe.batch_size * examples.scalars), repeatable(recipe):
            step = step_of(
                classifier,
                recipe,
                data,
                len(examples),
                where,
                bf16,
                public_examples=public_examples,
                canaries=canaries,
            )
            fitted = fit(
                classifier,
                examples,
                validation,
                recipe,
                step,
                seed=seed,
                device=where,
                run=run_key(recipe, dataset, seed, indices, where, bf16),
                path=checkpoint,
                progress=progress,
            )
            if recipe.fairness is not None and recipe.fairness.method in POST_PROCESSING:
                classifier = with_thresholds(classifier, data, validation, recipe.fairness)
            right = accuracy(classifier, validation)
    metrics = {"validation_accuracy": right, "training_examples": len(examples)}
    if fitted.score is not None:
        metrics |= {"validation_score": fitted.score, "best_epoch": fitted.epoch}
        metrics["collapsed"] = float(fitted.collapsed)
    privacy = step.record(unaccounted=_unaccounted(classifier)) if isinstance(step, PrivateStep) else None
    classifier.cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    record = TrainingRecord(
        architecture=recipe.architecture,
        config=classifier.config,
        data_name=dataset.name,
        data_digest=dataset.digest,
        data_source=dataset.source,
        data_licence=dataset.licence,
        classes=dataset.classes,
        recipe=recipe,
        seed=seed,
        code_version=f"{raiaudit.__version__}+training.{TRAINING_VERSION}",
        metrics=metrics,
        privacy=privacy,
        parameters=sum(parameter.numel() for parameter in classifier.parameters()),
        weights_digest=weights_digest(classifier.state_dict()),
        seconds=fitted.seconds,
        device=where.type,
    )
    return ModelVersion(name, 0, classifier, record)


def fresh_classifier(recipe: Recipe, data: Dataset) -> Classifier:
    """A model with fresh weights; a private one looks at no example to standardise, unless told to."""
    options, chosen = recipe.options, family(recipe.architecture)
    if recipe.kind == "private" and "normalization" in inspect.signature(chosen).parameters:
        options = {"normalization": "fixed", **options}
    model = chosen.for_dataset(data, **options)
    if recipe.fairness is not None and recipe.fairness.method == "correlation_remover":
        return decorrelated(model, data, recipe.fairness)
    return model


@contextmanager
def repeatable(recipe: Recipe) -> Iterator[None]:
    """Within, torch uses only algorithms that repeat exactly, if the recipe asks for it."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    if recipe.deterministic:
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


def _unaccounted(classifier: Classifier) -> str:
    """How the training rows were used outside the noisy steps; "" if they were not."""
    if classifier.modality == "text":
        return "the tokenizer was trained on the training texts"
    if classifier.modality == "tabular":
        return "column ranges and categories were read from the training rows"
    if classifier.config["normalization"] == "train":
        return "normalisation statistics come from the training images"
    return ""


def step_of(
    classifier: Classifier,
    recipe: Recipe,
    data: Dataset,
    examples: int,
    device: torch.device,
    bf16: bool,
    *,
    public_examples: int | None = None,
    canaries: GradientCanaries | None = None,
) -> Step:
    """The step that trains as the recipe's kind says; the last two are for audits of a private one."""
    if recipe.kind == "adversarial":
        return AdversarialStep(
            classifier, recipe, examples=examples, space=data.space, device=device, bf16=bf16
        )
    if recipe.kind == "private":
        return PrivateStep(
            classifier,
            recipe,
            examples=examples,
            space=data.space,
            device=device,
            public_examples=public_examples,
            canaries=canaries,
        )
    if recipe.kind == "fair":
        return fair_step(classifier, recipe, data, device=device, bf16=bf16)
    return StandardStep(classifier, recipe, examples=examples, device=device, bf16=bf16)


def device_of(device: str) -> torch.device:
    """A torch device by name; "auto" is CUDA, else the CPU."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"unknown device {device!r}", remedy="use auto, cpu or cuda") from error


def restricted(dataset: Dataset, recipe: Recipe, indices: NDArray[np.int64] | None) -> Dataset:
    """The data set whose training split holds only the rows to learn from.

    Everything fitted on data (statistics, tokenizer) then sees those rows and no others.
    """
    split = dataset.splits["train"]
    if indices is not None:
        split = split.take(np.asarray(indices))
    if recipe.train_limit is not None:
        split = split.take(slice(recipe.train_limit))
    return replace(dataset, splits={"train": split, "validation": dataset.splits["validation"]})


def run_key(
    recipe: Recipe,
    dataset: Dataset,
    seed: int,
    indices: NDArray[np.int64] | None,
    device: torch.device,
    bf16: bool,
) -> str:
    """What a checkpoint must agree on to be resumed."""
    rows = "all" if indices is None else hashlib.sha256(np.asarray(indices, np.int64).tobytes()).hexdigest()
    parts = [recipe.digest(), dataset.digest, seed, rows, device.type, bf16, TRAINING_VERSION]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
