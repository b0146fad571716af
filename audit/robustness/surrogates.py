"""A registered model as the stand-in on which a transfer attack is prepared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.errors import CapabilityError, UsageError

if TYPE_CHECKING:
    from raiaudit.models.data.dataset import Dataset
    from raiaudit.models.registry import Registry
    from raiaudit.models.version import ModelVersion

__all__ = ["load_surrogate"]


def load_surrogate(registry: Registry, reference: str, dataset: Dataset) -> ModelVersion:
    """The version that `reference` (NAME, NAME@ALIAS or NAME/VERSION) names, on the CPU.

    Raises `UnknownNameError` for no such version, `CapabilityError` for a black box, which has no gradient,
    and `UsageError` for a model of other inputs or classes than the data's.
    """
    version = registry.load(reference)
    if version.record.is_black_box:
        raise CapabilityError(
            "a black box gives no gradient to prepare a transfer attack on",
            where=f"surrogate {reference}",
            remedy="name a model of your own, trained on similar data",
        )
    classifier = version.classifier
    takes = classifier.config.get("shape")
    expected = list(getattr(dataset.space, "shape", ()))
    if classifier.modality != dataset.modality or (takes is not None and list(takes) != expected):
        raise UsageError(
            f"the surrogate takes {classifier.modality} inputs of shape {takes}, "
            f"{dataset.name} has {dataset.modality} inputs of shape {expected}",
            where=f"surrogate {reference}",
            remedy="name a model trained on such inputs",
        )
    if classifier.classes != len(dataset.classes):
        raise UsageError(
            f"the surrogate answers with {classifier.classes} classes, "
            f"{dataset.name} has {len(dataset.classes)}",
            where=f"surrogate {reference}",
            remedy="name a model of the same classes",
        )
    return version
