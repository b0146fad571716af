"""Members in a folder: the weights of each finished one, and the checkpoint of what is being trained.

A file is named by what decides the weights, so a folder never gives back a member of another ensemble.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from raiaudit.models.architectures import build
from raiaudit.models.training.ensemble.packed import fit_pack
from raiaudit.models.training.train import train
from raiaudit.models.weights import load_weights, save_weights

if TYPE_CHECKING:
    from pathlib import Path

    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.training.ensemble.member import Job, Member

__all__ = ["load", "packs_of", "save", "train_pack"]

Report = Callable[[int], None]
"""(epochs done)."""


def packs_of(count: int, size: int) -> list[range]:
    """The numbers 0 … count − 1 in groups of `size`; the last one may be smaller."""
    return [range(first, min(first + size, count)) for first in range(0, count, size)]


def train_pack(
    job: Job,
    members: Sequence[Member],
    *,
    folder: Path | None,
    brief: bool = False,
    report: Report | None = None,
) -> list[Classifier]:
    """Train a pack (one member: by `train`), or take its members from the folder if all are there.

    A single member whose training is `brief` writes no checkpoints, which could take as long.
    """
    if folder is not None:
        known = [load(job, member, folder) for member in members]
        if all(classifier is not None for classifier in known):
            return [classifier for classifier in known if classifier is not None]
    path = None if folder is None else folder / f"{job.key(members[0])[:24]}-{len(members)}.checkpoint"
    if len(members) == 1:
        version = train(
            job.recipe,
            job.dataset,
            name="member",
            seed=members[0].seed,
            device=job.device,
            indices=members[0].rows_N,
            checkpoint=None if brief else path,
        )
        classifiers = [version.classifier]
    else:
        told = None if report is None else lambda epoch, _loss: report(epoch)
        classifiers = fit_pack(job, members, path=path, report=told)
    if folder is not None and path is not None:
        for member, classifier in zip(members, classifiers, strict=True):
            save(job, member, classifier, folder)
        path.unlink(missing_ok=True)
    return classifiers


def save(job: Job, member: Member, classifier: Classifier, folder: Path) -> None:
    """Keep a finished member; the weights come last, so that a member is there whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    name = job.key(member)[:24]
    (folder / f"{name}.json").write_text(json.dumps(classifier.config), encoding="utf-8")
    save_weights(classifier, folder / f"{name}.safetensors")


def load(job: Job, member: Member, folder: Path) -> Classifier | None:
    """A finished member in evaluation mode on the CPU, or None if the folder lacks it."""
    name = job.key(member)[:24]
    weights = folder / f"{name}.safetensors"
    if not weights.exists():
        return None
    config = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    classifier = build(job.recipe.architecture, config)
    load_weights(classifier, weights)
    return classifier.eval()
