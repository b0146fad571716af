"""The record of a model from outside: nothing is known of its training, so nothing is claimed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.models.version import LoadRecord, ModelVersion, TrainingRecord

if TYPE_CHECKING:
    from raiaudit.models.architectures import Classifier

__all__ = ["version_of"]


def version_of(
    classifier: Classifier,
    architecture: str,
    *,
    name: str,
    digest: str,
    loaded: LoadRecord,
    parameters: int | None = None,
) -> ModelVersion:
    """A classifier from outside with its record, in evaluation mode.

    `digest` stands for everything that decides its answers; `parameters` are counted where not given.
    """
    import raiaudit

    record = TrainingRecord(
        architecture=architecture,
        config=classifier.config,
        code_version=raiaudit.__version__,
        parameters=sum(p.numel() for p in classifier.parameters()) if parameters is None else parameters,
        weights_digest=digest,
        loaded=loaded,
    )
    return ModelVersion(name, 0, classifier.eval(), record)
