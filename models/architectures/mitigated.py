"""Classifiers of tables with a mitigation around them: what is done about groups is part of the function.

An audited model is one differentiable function of the encoded row, so an attack goes through the mitigation
and whoever loads the weights gets it with them. The config of the model inside gains a key `mitigation`,
{"kind": …, "width": W}, by which `build` puts it together again.

Shapes: x_BW encoded rows → logits_BK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from raiaudit.models.architectures.classifier import Classifier

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MITIGATED", "Decorrelated", "ThresholdsByGroup"]


class _Around(Classifier):
    """A model inside, of which it takes over all that describes it."""

    kind: str

    def __init__(self, model: Classifier, width: int) -> None:
        super().__init__()
        self.architecture = model.architecture  # type: ignore[misc]  # the instance's: that of its model
        self.modality = model.modality
        self.classes = model.classes
        self.config: dict[str, Any] = {**model.config, "mitigation": {"kind": self.kind, "width": width}}
        self.model = model


class Decorrelated(_Around):
    """The model of rows from which all that is linear in some slots was taken: x − (s − s̄)·C.

    s are the slots of an attribute, s̄ their means and C the least-squares coefficients of every slot on
    them; the attribute's own slots become constant.
    """

    kind = "correlation_remover"

    def __init__(self, model: Classifier, width: int) -> None:
        super().__init__(model, width)
        self.removal = nn.Linear(width, width).requires_grad_(False)

    @torch.no_grad()
    def set_removal(self, slots: slice, mean_S: NDArray[Any], coefficients_SW: NDArray[Any]) -> None:
        """Take over what was fitted."""
        weight_WW = torch.eye(self.removal.in_features, dtype=torch.float64)
        weight_WW[:, slots] -= torch.from_numpy(coefficients_SW).T
        self.removal.weight.copy_(weight_WW)
        self.removal.bias.copy_(torch.from_numpy(mean_S @ coefficients_SW))

    def forward(self, inputs: Tensor) -> Tensor:
        """x_BW → logits_BK."""
        logits_BK: Tensor = self.model(self.removal(inputs))
        return logits_BK


class ThresholdsByGroup(_Around):
    """The model's logits, that of one class shifted by an offset of the group that the row itself names."""

    kind = "group_thresholds"

    def __init__(self, model: Classifier, width: int) -> None:
        super().__init__(model, width)
        self.offsets = nn.Linear(width, model.classes, bias=False).requires_grad_(False)

    @torch.no_grad()
    def set_offsets(self, slots: slice, positive: int, offset_G: NDArray[Any]) -> None:
        """One offset for each of the attribute's slots, on the logit of class `positive`."""
        self.offsets.weight.zero_()
        self.offsets.weight[positive, slots] = torch.from_numpy(offset_G).to(self.offsets.weight)

    def forward(self, inputs: Tensor) -> Tensor:
        """x_BW → logits_BK."""
        logits_BK: Tensor = self.model(inputs) + self.offsets(inputs)
        return logits_BK


MITIGATED: dict[str, type[Decorrelated | ThresholdsByGroup]] = {
    cls.kind: cls for cls in (Decorrelated, ThresholdsByGroup)
}
