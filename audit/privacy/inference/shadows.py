"""Shadow models: the target's recipe on other halves of the pool, so that each point is seen and unseen.

A shadow learns from half of the pool's points and from every training row outside the pool, so that it
sees exactly as many rows as the target did (Carlini et al., arXiv:2112.03570, with the rows that nobody
asks about held fixed). A private target has private shadows: same recipe, same noise.

Shadows are trained as one ensemble a task; checkpoints and finished shadows lie in the cache until the task's
rows are made, so that a killed audit goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from raiaudit.audit.lock import turn
from raiaudit.audit.privacy.inference.pool import Pool, joined, keep_matrix
from raiaudit.audit.privacy.inference.signals import mirrors, phi_of
from raiaudit.audit.statistics.keyed import keyed_rng

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from raiaudit.audit.subject import Subject
    from raiaudit.models.training.ensemble import EnsembleProgress, TrainedEnsemble

__all__ = ["ShadowSignals", "shadow_signals", "train_shadows"]

_NOTE_EVERY = 60.0  # seconds between progress notes


@dataclass(frozen=True, slots=True)
class ShadowSignals:
    """Of K shadows: φ of the pool's points, then of the population's; which points each trained on; and the
    engine that trained them.
    """

    phi_KN: NDArray[np.float64]
    keep_KN: NDArray[np.bool_]
    engine: str


def shadow_signals(
    subject: Subject,
    pool: Pool,
    numbers: range,
    shadows: int,
    mode: Literal["auto", "serial", "packed", "processes"],
) -> ShadowSignals:
    """Train shadows `numbers` of `shadows` and ask each about every point."""
    keep_KP = keep_matrix(shadows, len(pool.points), subject.seed)[numbers.start : numbers.stop]
    folder = _folder(subject, keep_KP, numbers)

    def waiting() -> None:
        subject.note("another process is training the same shadows: waiting for its turn")

    with nullcontext() if folder is None else turn(folder.with_suffix(".lock"), waiting):
        trained = train_shadows(subject, pool, keep_KP, numbers, mode=mode, folder=folder)
        told = f"{trained.choice}, trained in {trained.seconds:.0f} s"
        subject.note(f"shadows {numbers.start}–{numbers.stop - 1}: {told}")
        asked, device = joined(pool.points, pool.population), str(subject.device)
        phi_KN = np.array(
            [phi_of(shadow, asked, device, mirror=mirrors(subject)) for shadow in trained.classifiers]
        )
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
    outside = np.zeros((len(numbers), len(pool.population)), dtype=np.bool_)
    return ShadowSignals(phi_KN, np.hstack([keep_KP, outside]), str(trained.choice.engine))


def train_shadows(
    subject: Subject,
    pool: Pool,
    keep_KP: NDArray[np.bool_],
    numbers: range,
    *,
    mode: Literal["auto", "serial", "packed", "processes"] = "auto",
    folder: Path | None = None,
) -> TrainedEnsemble:
    """Shadows `numbers`, each from the points it keeps and the rest of the training rows."""
    from raiaudit.models.training.ensemble import Member, train_ensemble

    recipe = subject.record.recipe
    assert recipe is not None
    learned = joined(pool.points, pool.rest)
    rows = hashlib.sha256("\n".join(learned.ids).encode()).hexdigest()
    dataset = replace(
        subject.dataset,
        splits={"train": learned, "validation": subject.dataset.splits["validation"]},
        digest=hashlib.sha256(f"{subject.dataset.digest}|{rows}".encode()).hexdigest(),
    )
    members = [
        Member(
            pool.shadow_rows(keep_P),
            int(keyed_rng(subject.seed, "membership", "shadow", number).integers(2**31)),
        )
        for number, keep_P in zip(numbers, keep_KP, strict=True)
    ]
    return train_ensemble(
        recipe.model_copy(update={"train_limit": None}),
        dataset,
        members,
        device=subject.device_name,
        mode=mode,
        progress=_reporter(subject, numbers),
        folder=folder,
    )


def _folder(subject: Subject, keep_KP: NDArray[np.bool_], numbers: range) -> Path | None:
    """Where these shadows are kept until their rows are made."""
    if subject.cache is None:
        return None
    recipe = subject.record.recipe
    assert recipe is not None
    parts = [subject.dataset.digest, recipe.digest(), subject.seed, numbers.start, numbers.stop]
    key = hashlib.sha256(json.dumps(parts).encode() + keep_KP.tobytes()).hexdigest()
    return subject.cache / "shadows" / key[:24]


def _reporter(subject: Subject, numbers: range) -> Callable[[EnsembleProgress], None]:
    """A note now and then, for whoever waits."""
    last = time.monotonic()

    def report(progress: EnsembleProgress) -> None:
        nonlocal last
        if time.monotonic() - last < _NOTE_EVERY:
            return
        last = time.monotonic()
        epoch = "" if progress.epoch is None else f", epoch {progress.epoch} of the next"
        subject.note(
            f"shadows {numbers.start}–{numbers.stop - 1}: {progress.done} of {progress.members}{epoch}"
        )

    return report
