"""What a mitigation asks of the data, and which mitigations suit them; known without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.attacks.spaces import TableSchema
from raiaudit.errors import UnknownNameError, UsageError
from raiaudit.models.recipe import require_attribute

if TYPE_CHECKING:
    from raiaudit.models.data.dataset import Dataset
    from raiaudit.models.recipe import Mitigation

__all__ = ["feature_slots", "positive_class", "require_suited"]

_READS_THE_GROUP = ("correlation_remover", "group_thresholds")
_SELECTS = ("lagrangian", "group_thresholds", "shared_threshold")


def require_suited(mitigation: Mitigation, dataset: Dataset) -> None:
    """Raise `UsageError` for an attribute, a class or a method that is not for this data set."""
    require_attribute(mitigation.attribute, dataset.group_names)
    if mitigation.method in _SELECTS:
        positive_class(mitigation, dataset.classes)
    if mitigation.method in _READS_THE_GROUP:
        feature_slots(dataset, mitigation)


def positive_class(mitigation: Mitigation, classes: tuple[str, ...]) -> int:
    """The class whose members are selected. Raises `UsageError` where it is neither named nor clear."""
    if mitigation.positive is not None:
        if mitigation.positive not in classes:
            where = "recipe.fairness.positive"
            raise UnknownNameError("class", mitigation.positive, classes, where=where)
        return classes.index(mitigation.positive)
    if len(classes) != 2:
        raise UsageError(
            f"{mitigation.method} needs to know which of {len(classes)} classes is the one of the selected",
            where="recipe.fairness",
            remedy="name it: positive: CLASS",
        )
    return 1


def feature_slots(dataset: Dataset, mitigation: Mitigation) -> slice:
    """The slots of the attribute in the encoded row.

    Raises `UsageError` unless the model sees the attribute, as a category of a table.
    """
    space, name = dataset.space, mitigation.attribute
    if isinstance(space, TableSchema) and name in space.slices:
        (column,) = (column for column in space.columns if column.name == name)
        if column.kind == "category":
            return space.slices[name]
    instead = "reweighing" if mitigation.method == "correlation_remover" else "shared_threshold"
    raise UsageError(
        f"method: {mitigation.method} reads {name} from the input, where {dataset.name} does not have it "
        "as a category",
        where="recipe.fairness",
        remedy=f"choose method: {instead}, or add the column to the features",
    )
