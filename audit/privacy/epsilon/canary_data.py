"""Canaries in input space: examples whose inclusion in the training data a fair coin each decides.

`mislabelled`: rows the model never saw, each with a wrong class; they look like the data, and nothing but
the rows themselves explains their labels. `random`: in place of such a row an input drawn at random (pixels,
words of the data, values within each column's range and rare combinations of levels), of a random class.

Coins and canaries are keyed by the audit's seed; nothing about them depends on a trained model.

Shapes: M canaries.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from raiaudit.attacks.spaces import TableSchema
from raiaudit.audit.privacy.inference.pool import joined
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.errors import CapabilityError
from raiaudit.models.data.dataset import Split, is_streamed, take

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.subject import Subject
    from raiaudit.models.data.dataset import Dataset
    from raiaudit.models.version import ModelVersion

__all__ = ["Canaries", "coins", "input_canaries", "phi_of", "retrained", "training_rows"]

_BATCH = 512


@dataclass(frozen=True, slots=True)
class Canaries:
    """`points` with the classes they are planted with; `included_M` says which are in the training data."""

    points: Split
    included_M: NDArray[np.bool_]


def coins(subject: Subject, kind: str, count: int) -> NDArray[np.bool_]:
    """`count` independent fair coins."""
    return keyed_rng(subject.seed, "canaries", kind, "coins").random(count) < 0.5


def training_rows(subject: Subject) -> Split:
    """The rows the recipe learns from."""
    recipe = subject.record.recipe
    assert recipe is not None
    return subject.dataset.splits["train"].take(slice(0, recipe.train_limit))


def input_canaries(subject: Subject, kind: str, most: int) -> Canaries:
    """At most `most`, as many test rows as there are, and half as many as training rows.

    Raises `CapabilityError` for random images in the place of images that are left on disk.
    """
    unseen, K = subject.dataset.splits["test"], len(subject.dataset.classes)
    count = min(most, len(unseen), len(training_rows(subject)) // 2)
    rng = keyed_rng(subject.seed, "canaries", kind)
    rows = unseen.take(np.sort(rng.permutation(len(unseen))[:count]))
    if kind == "mislabelled":
        points = replace(rows, labels=(rows.labels + rng.integers(1, K, size=count)) % K)
    else:
        points = replace(rows, inputs=_random(rows, subject.dataset, rng), labels=rng.integers(K, size=count))
    return Canaries(points, coins(subject, kind, count))


def retrained(subject: Subject, canaries: Canaries, kind: str) -> ModelVersion:
    """The recipe again, from the training rows and the canaries that are in.

    The number of training rows that a private recipe takes as public stays what it was.
    """
    from raiaudit.models.training import train

    rows, recipe = training_rows(subject), subject.record.recipe
    assert recipe is not None
    learned = joined(rows, canaries.points.take(np.flatnonzero(canaries.included_M)))
    return train(
        recipe.model_copy(update={"train_limit": None}),
        replace(
            subject.dataset,
            splits={"train": learned, "validation": subject.dataset.splits["validation"]},
            digest=hashlib.sha256(f"{subject.dataset.digest}/{kind}/{subject.seed}".encode()).hexdigest(),
        ),
        name=f"canaries-{kind}",
        seed=int(keyed_rng(subject.seed, "canaries", kind, "training").integers(2**31)),
        device=subject.device_name,
        public_examples=len(rows),
    )


def phi_of(version: ModelVersion, points: Split, device: str) -> NDArray[np.float64]:
    """φ of each canary and the class it was planted with."""
    import torch

    from raiaudit.attacks.inference import phi

    classifier = version.classifier.eval().to(device)
    parts = []
    with torch.no_grad():
        for start in range(0, len(points), _BATCH):
            inputs = classifier.encode(take(points.inputs, slice(start, start + _BATCH)))
            parts.append(classifier(inputs.to(device)).float().cpu())
    return phi(torch.cat(parts).numpy(), points.labels)


def _random(rows: Split, dataset: Dataset, rng: np.random.Generator) -> Any:
    if is_streamed(rows.inputs):
        raise CapabilityError(
            "random canaries cannot stand among images that are left on disk",
            where="privacy.canaries kinds",
            remedy="ask for mislabelled canaries, or load the images with stream: false",
        )
    if dataset.modality == "text":
        words = sorted({word for text in rows.inputs for word in text.split()})
        return [" ".join(rng.choice(words, size=max(1, len(text.split())))) for text in rows.inputs]
    if isinstance(dataset.space, TableSchema):
        return _random_table(dataset.space, len(rows), rng)
    if rows.inputs.dtype == np.uint8:
        return rng.integers(256, size=rows.inputs.shape, dtype=np.uint8)
    space: Any = dataset.space
    return rng.uniform(space.low, space.high, size=rows.inputs.shape).astype(rows.inputs.dtype)


def _random_table(schema: TableSchema, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    columns = []
    for column in schema.columns:
        if column.kind == "category":
            columns.append(np.eye(column.width)[rng.integers(column.width, size=count)])
        else:
            drawn = rng.uniform(column.low, column.high, size=(count, 1))
            columns.append(drawn.round() if column.kind == "integer" else drawn)
    return np.hstack(columns).astype(np.float32)
