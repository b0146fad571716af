"""Shadow models: the target's recipe on other halves of the pool, so that each point is seen and unseen.

A shadow learns from half of the pool's points and from every training row outside the pool, so that it
sees exactly as many rows as the target did (Carlini et al., arXiv:2112.03570, with the rows that nobody
asks about held fixed). A private target has private shadows: same recipe, same noise.

The signal is φ = log p_y − log Σ_{k≠y} p_k in evaluation mode, of the unmodified input alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from raiaudit.audit.privacy.pool import Pool, joined
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.models.data.dataset import take

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.subject import Subject
    from raiaudit.models.version import ModelVersion

__all__ = ["phi_of", "train_shadow"]

_BATCH = 512


def train_shadow(subject: Subject, pool: Pool, keep_P: NDArray[np.bool_], index: int) -> ModelVersion:
    """Shadow `index`, from the points `keep_P` of the pool and the rest of the training rows."""
    from raiaudit.models.training import train

    recipe = subject.record.recipe
    assert recipe is not None
    learned = joined(pool.points.take(np.flatnonzero(keep_P)), pool.rest)
    dataset = replace(
        subject.dataset,
        splits={"train": learned, "validation": subject.dataset.splits["validation"]},
        digest=hashlib.sha256(subject.dataset.digest.encode() + keep_P.tobytes()).hexdigest(),
    )
    return train(
        recipe.model_copy(update={"train_limit": None}),
        dataset,
        name=f"shadow-{index}",
        seed=int(keyed_rng(subject.seed, "membership", "shadow", index).integers(2**31)),
        device=subject.device_name,
    )


def phi_of(version: ModelVersion, pool: Pool, device: str) -> NDArray[np.float64]:
    """φ of every point of the pool, φ_P."""
    import torch

    from raiaudit.attacks.inference import phi

    classifier = version.classifier.eval().to(device)
    parts = []
    with torch.no_grad():
        for start in range(0, len(pool.points), _BATCH):
            inputs = classifier.encode(take(pool.points.inputs, slice(start, start + _BATCH)))
            parts.append(classifier(inputs.to(device)).float().cpu())
    return phi(torch.cat(parts).numpy(), pool.points.labels)
