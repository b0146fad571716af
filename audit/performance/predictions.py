"""Clean predictions of one shard of the test examples, as the checks that only count outcomes need them.

Shapes: N rows of the shard, K classes. Probabilities are the softmax of the logits, in float64; a model
that gives labels alone has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import log_softmax

from raiaudit.audit.check import Capability, Task
from raiaudit.errors import CapabilityError, QueryFailedError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.subject import Subject
    from raiaudit.models.data.dataset import Split

__all__ = ["Predictions", "predict", "shards"]

_SHARD = 2048


def shards(
    check: str,
    version: int,
    subject: Subject,
    config: Mapping[str, Any] | None = None,
    *,
    name: str = "test",
    examples: int | None = None,
    size: int = _SHARD,
) -> list[Task]:
    """One task for every `size` test examples, of the first `examples` if not all.

    `config` holds what decides the rows, nothing else.
    """
    total = min(len(subject.test) if examples is None else examples, len(subject.test))
    return [
        Task(
            check=check,
            name=f"{name}-{start:07d}",
            params={"start": start, "stop": min(start + size, total)},
            config=config or {},
            version=version,
        )
        for start in range(0, total, size)
    ]


@dataclass(frozen=True, slots=True)
class Predictions:
    """`rows` of the test split, the class `predicted` for each (the first of the most probable ones) and
    log_probabilities_NK, None where the model gives labels alone.
    """

    rows: Split
    predicted: NDArray[np.int64]
    log_probabilities_NK: NDArray[np.float64] | None

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the predicted class is the label."""
        return np.asarray(self.predicted == self.rows.labels)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Rows sum to one."""
        return np.exp(self._required)

    @property
    def log_loss(self) -> NDArray[np.float64]:
        """−log of the label's probability, in nats."""
        return -np.take_along_axis(self._required, self.rows.labels[:, None], axis=1)[:, 0]

    @property
    def _required(self) -> NDArray[np.float64]:
        assert self.log_probabilities_NK is not None, "a check that reads probabilities must ask for them"
        return self.log_probabilities_NK


def predict(subject: Subject, task: Task) -> Predictions:
    """Ask the model about the shard of `task`.

    Raises `CapabilityError` when it answers NaN or ∞: no class is the most probable then, and
    `QueryFailedError`, naming the first such example, when a black box does not answer for some.
    """
    rows = subject.test.take(slice(task.params["start"], task.params["stop"]))
    try:
        logits_NK = subject.logits(rows.inputs).numpy().astype(np.float64)
    except QueryFailedError as error:
        raise QueryFailedError(
            f"no usable answer for {len(error.rows)} of {len(rows)} examples: {error.where}: {error.problem}",
            rows=error.rows,
            answers=error.answers,
            where=f"{subject.name}, test example {rows.ids[error.rows[0]]}",
            remedy=error.remedy,
        ) from error
    bad_N = np.flatnonzero(~np.isfinite(logits_NK).all(axis=1))
    if len(bad_N):
        raise CapabilityError(
            f"the model answers NaN or infinity for {len(bad_N)} of {len(rows)} examples",
            where=f"{subject.name}, test example {rows.ids[int(bad_N[0])]}",
            remedy="the weights or the preprocessing are damaged: check or retrain the model",
        )
    scored = Capability.PROBABILITIES in subject.capabilities
    return Predictions(
        rows, np.asarray(logits_NK.argmax(axis=1)), log_softmax(logits_NK, axis=1) if scored else None
    )
