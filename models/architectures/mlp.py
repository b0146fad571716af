"""A multilayer perceptron for tables, and for flattened images.

The plain feed-forward baseline of arXiv:2106.11959 (section 3.1): Linear → ReLU → Dropout blocks.

Shapes: x_BW encoded rows, or x_BCHW in [0, 1] → logits_BK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from raiaudit.attacks.spaces import ImageBox, TableSchema
from raiaudit.errors import UsageError
from raiaudit.models.architectures.classifier import Classifier, check_options
from raiaudit.models.architectures.normalization import Normalization, Standardization

if TYPE_CHECKING:
    from raiaudit.models.data.dataset import Dataset

__all__ = ["MLP"]


class MLP(Classifier):
    """`depth` hidden layers of `hidden` units. `shape` is [W] for tables, [C, H, W] for images."""

    architecture = "mlp"

    def __init__(
        self,
        shape: list[int],
        classes: int,
        *,
        hidden: int = 128,
        depth: int = 2,
        dropout: float = 0.0,
        normalization: Normalization = "train",
    ) -> None:
        super().__init__()
        self.config = {
            "shape": list(shape),
            "classes": classes,
            "hidden": hidden,
            "depth": depth,
            "dropout": dropout,
            "normalization": normalization,
        }
        self.classes = classes
        self.modality = "tabular" if len(shape) == 1 else "image"
        self.standardize = Standardization((shape[0],) if len(shape) == 1 else (shape[0], 1, 1))
        layers: list[nn.Module] = [nn.Flatten()]
        width = 1
        for side in shape:
            width *= side
        for _ in range(depth):
            layers += [nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout)]
            width = hidden
        self.layers = nn.Sequential(*layers, nn.Linear(width, classes))

    @classmethod
    def for_dataset(cls, dataset: Dataset, **options: Any) -> MLP:
        """A fresh network for the data set's row width or image shape."""
        check_options(cls, options)
        space, inputs = dataset.space, dataset.splits["train"].inputs
        if isinstance(space, TableSchema):
            model = cls([space.width], len(dataset.classes), **options)
            model.standardize.fit_table(inputs, space, model.config["normalization"])
        elif isinstance(space, ImageBox):
            model = cls(list(space.shape), len(dataset.classes), **options)
            model.standardize.fit_images(inputs, model.config["normalization"])
        else:
            raise UsageError(
                "architecture 'mlp' does not take text data",
                where=dataset.name,
                remedy="choose lstm or text_transformer",
            )
        return model

    def forward(self, inputs: Tensor) -> Tensor:
        """x_BW or x_BCHW → logits_BK."""
        logits: Tensor = self.layers(self.standardize(inputs))
        return logits
