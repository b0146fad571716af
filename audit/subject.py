"""The subject of an audit: a model, what may be asked of it, and the data it is asked about.

Splits and device tensors are loaded on first use; importing this module loads no tensor library.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from raiaudit.audit.check import Capability
from raiaudit.errors import QueryFailedError

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from raiaudit.attacks.threats import Knowledge
    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.data.dataset import Dataset, Split
    from raiaudit.models.registry import Registry
    from raiaudit.models.version import ModelVersion, TrainingRecord

__all__ = ["OFFERS", "Subject"]

OFFERS: dict[Knowledge, frozenset[Capability]] = {
    "label": frozenset({Capability.LABELS}),
    "score": frozenset({Capability.LABELS, Capability.PROBABILITIES}),
    "white": frozenset(
        {
            Capability.LABELS,
            Capability.PROBABILITIES,
            Capability.LOGITS,
            Capability.GRADIENTS,
            Capability.WEIGHTS,
        }
    ),
}
"""Knowledge of a model → what may be asked of it."""


@dataclass
class Subject:
    """A model version with its record, and the data it is audited on.

    `seed` keys every random choice of the audit, `device_name` is "auto", "cpu" or "cuda", `limit` caps
    the number of audited test examples (a partial audit), `cache` is a folder for what may be lost
    (checkpoints), `note` receives progress lines for people, `registry` opens what holds other models.
    """

    name: str
    dataset: Dataset
    record: TrainingRecord
    version: ModelVersion
    seed: int
    device_name: str = "auto"
    limit: int | None = None
    cache: Path | None = None
    note: Callable[[str], None] = field(default=lambda _line: None)
    registry: Callable[[], Registry] | None = None

    @cached_property
    def capabilities(self) -> frozenset[Capability]:
        """What this model can be asked: all of a native classifier, its answers alone of a black box."""
        held = set(OFFERS[self.version.classifier.knowledge])
        trained_here = self.record.data_digest == self.dataset.digest
        if trained_here:
            held.add(Capability.TRAINING_DATA)
            if self.record.recipe is not None:
                held.add(Capability.RETRAINING)
        if self.dataset.group_names:
            held.add(Capability.GROUPS)
        return frozenset(held)

    @cached_property
    def test(self) -> Split:
        """The audited examples: the test split, or its first `limit` examples."""
        split = self.dataset.splits["test"]
        return split if self.limit is None else split.take(slice(0, self.limit))

    @cached_property
    def device(self) -> torch.device:
        """CUDA where there is one and the spec does not say otherwise, else the CPU."""
        import torch

        if self.device_name == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(self.device_name)

    @cached_property
    def classifier(self) -> Classifier:
        """The model in evaluation mode on `device`."""
        return self.version.classifier.eval().to(self.device)

    def tensor(self, inputs: Any) -> torch.Tensor:
        """Raw inputs of a split as the tensor the classifier takes, on `device`."""
        return self.classifier.encode(inputs).to(self.device)

    def logits(self, inputs: Any, *, batch_size: int = 512) -> torch.Tensor:
        """Raw inputs → logits_NK (float32, on the CPU), without gradients.

        A black box's are the logarithms of its scores, or one-hot rows where it gives labels alone.
        Raises `QueryFailedError` when it has no answer for some inputs, after asking about all of them.
        """
        import torch

        from raiaudit.models.data.dataset import take

        parts, failures, unanswered = [], [], []
        with torch.no_grad():
            for start in range(0, len(inputs), batch_size):
                batch = self.tensor(take(inputs, slice(start, start + batch_size)))
                try:
                    parts.append(self.classifier(batch).float().cpu())
                except QueryFailedError as failure:
                    parts.append(failure.answers.float().cpu())
                    failures.append(failure)
                    unanswered += [start + row for row in failure.rows]
        logits_NK = torch.cat(parts)
        if failures:
            first = failures[0]
            raise QueryFailedError(
                first.problem,
                rows=tuple(unanswered),
                answers=logits_NK,
                where=first.where,
                remedy=first.remedy,
            )
        return logits_NK
