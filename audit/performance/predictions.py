"""Clean predictions of one shard of the test examples, as the checks that only count outcomes need them.

Shapes: N rows of the shard, K classes. Probabilities are the softmax of the logits, in float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import log_softmax

from raiaudit.audit.check import Task
from raiaudit.errors import CapabilityError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.subject import Subject
    from raiaudit.models.data.dataset import Split

__all__ = ["Predictions", "predict", "shards"]

_SHARD = 2048


def shards(check: str, version: int, subject: Subject, config: Mapping[str, Any] | None = None) -> list[Task]:
    """One task for every 2,048 test examples; `config` holds what decides the rows, nothing else."""
    total = len(subject.test)
    return [
        Task(
            check=check,
            name=f"test-{start:07d}",
            params={"start": start, "stop": min(start + _SHARD, total)},
            config=config or {},
            version=version,
        )
        for start in range(0, total, _SHARD)
    ]


@dataclass(frozen=True, slots=True)
class Predictions:
    """`rows` of the test split with log_probabilities_NK; the properties have one value a row."""

    rows: Split
    log_probabilities_NK: NDArray[np.float64]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The first of the most probable classes."""
        return np.asarray(self.log_probabilities_NK.argmax(axis=1))

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the predicted class is the label."""
        return np.asarray(self.predicted == self.rows.labels)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Rows sum to one."""
        return np.exp(self.log_probabilities_NK)

    @property
    def log_loss(self) -> NDArray[np.float64]:
        """−log of the label's probability, in nats."""
        return -np.take_along_axis(self.log_probabilities_NK, self.rows.labels[:, None], axis=1)[:, 0]


def predict(subject: Subject, task: Task) -> Predictions:
    """Ask the model about the shard of `task`.

    Raises `CapabilityError` when it answers NaN or ∞: no class is the most probable then.
    """
    rows = subject.test.take(slice(task.params["start"], task.params["stop"]))
    logits_NK = subject.logits(rows.inputs).numpy().astype(np.float64)
    bad_N = np.flatnonzero(~np.isfinite(logits_NK).all(axis=1))
    if len(bad_N):
        raise CapabilityError(
            f"the model answers NaN or infinity for {len(bad_N)} of {len(rows)} examples",
            where=f"{subject.name}, test example {rows.ids[int(bad_N[0])]}",
            remedy="the weights or the preprocessing are damaged: check or retrain the model",
        )
    return Predictions(rows, log_softmax(logits_NK, axis=1))
