"""The base of the families that read images, and the choice of stem.

A stem is the first layers of a convolutional family: `imagenet` as published, which takes 224×224 down to
56×56 before the first stage; `small`, with a 3×3 convolution of stride 1 (unless the family says otherwise),
for images up to 64 pixels.

Shapes: x_BCHW in [0, 1] → logits_BK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from raiaudit.attacks.spaces import ImageBox
from raiaudit.models.architectures.classifier import Classifier, check_options, space_of
from raiaudit.models.architectures.normalization import Standardization

if TYPE_CHECKING:
    from raiaudit.models.data.dataset import Dataset

__all__ = ["ImageClassifier", "Stem", "stem_for"]

Stem = Literal["auto", "small", "imagenet"]
"""auto: small up to 64 pixels."""

_LARGEST_SMALL = 64


def stem_for(stem: Stem, shape: list[int]) -> Literal["small", "imagenet"]:
    """What `auto` means for images of a shape C×H×W."""
    if stem == "auto":
        return "small" if max(shape[1:]) <= _LARGEST_SMALL else "imagenet"
    return stem


class ImageClassifier(Classifier):
    """A classifier of images with standardised channels; `options` are what its config adds to the shape."""

    modality = "image"

    def __init__(self, shape: list[int], classes: int, **options: Any) -> None:
        super().__init__()
        self.config = {"shape": list(shape), "classes": classes, **options}
        self.classes = classes
        self.standardize = Standardization((shape[0], 1, 1))

    @classmethod
    def for_dataset(cls, dataset: Dataset, **options: Any) -> Self:
        """A fresh network for the data set's image shape."""
        check_options(cls, options)
        space = space_of(dataset, ImageBox, cls)
        model = cls(list(space.shape), len(dataset.classes), **options)
        model.standardize.fit_images(dataset.splits["train"].inputs, model.config["normalization"])
        return model
