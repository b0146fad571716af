"""An image classifier of `transformers`, with its preprocessing inside.

A grey picture is given to a network of three channels three times. Without a preprocessor_config.json the
network gets its pictures in [0, 1], resized to what its configuration says: the record states it.

Shapes: x_BCHW within the data set's bounds → logits_BK.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from raiaudit.attacks.spaces import ImageBox
from raiaudit.errors import ArtifactRefusedError, CapabilityError
from raiaudit.models.architectures.classifier import Classifier, space_of
from raiaudit.models.outside.huggingface import pretrained
from raiaudit.models.outside.huggingface_files import optional_json
from raiaudit.models.outside.huggingface_pixels import Preprocessing

if TYPE_CHECKING:
    from raiaudit.models.data.dataset import Dataset

__all__ = ["PretrainedImages"]


class PretrainedImages(Classifier):
    """The network of a folder; `order` puts its outputs into the data set's order of classes."""

    architecture = "huggingface"
    modality = "image"

    def __init__(self, folder: Path, order: list[int], dataset: Dataset) -> None:
        super().__init__()
        space = space_of(dataset, ImageBox, type(self))
        self.network = pretrained(folder, "image")
        settings: Any = self.network.config
        self.channels = int(getattr(settings, "num_channels", 3))
        if space.shape[0] != self.channels and (space.shape[0], self.channels) != (1, 3):
            raise ArtifactRefusedError(
                f"the model takes {self.channels} channels, {dataset.name} has {space.shape[0]}",
                where=str(folder),
                remedy="audit it on images of the kind it was trained on",
            )
        self.preprocessing, self.limits = _preprocessing(folder, settings)
        self.classes = len(order)
        self.config = {
            "architecture": settings.architectures[0],
            "preprocessing": {name: value for name, value in asdict(self.preprocessing).items() if value},
            "classes": "matched by name" if order != list(range(len(order))) else "in the data set's order",
        }
        self._low, self._width = space.low, space.high - space.low
        self.order: Tensor
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("order", torch.tensor(order))
        self.register_buffer("mean", torch.tensor(self.preprocessing.mean).reshape(-1, 1, 1))
        self.register_buffer("std", torch.tensor(self.preprocessing.std).reshape(-1, 1, 1))

    def forward(self, inputs: Tensor) -> Tensor:
        """x_BCHW → logits_BK."""
        bytes_BCHW = (inputs - self._low) / self._width * 255
        x_BCHW = self.preprocessing.geometry(bytes_BCHW) * self.preprocessing.scale
        pixels_BCHW = (x_BCHW.expand(-1, self.channels, -1, -1) - self.mean) / self.std
        logits_BK: Tensor = self.network(pixel_values=pixels_BCHW).logits
        return logits_BK[:, self.order]

    def patch_grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of patches that an image of this size is cut into, once it is prepared.

        Raises `CapabilityError` for a network that cuts no square patches.
        """
        settings: Any = self.network.config
        patch = getattr(getattr(settings, "vision_config", settings), "patch_size", None)
        if not isinstance(patch, int):
            raise CapabilityError("the network's configuration names no size of patches")
        prepared = self.preprocessing.geometry(torch.zeros(1, self.channels, height, width))
        return prepared.shape[2] // patch, prepared.shape[3] // patch

    def onto_pixels(self, patch_BRC: Tensor, height: int, width: int) -> Tensor:
        """Values of patches, shared out among the image's pixels that each was prepared from, B×H×W.

        By the transpose of resizing and cropping, so that what lies on the image keeps its sum.
        """
        rows, columns = self.patch_grid(height, width)
        with torch.enable_grad():
            grey = torch.full((len(patch_BRC), 1, height, width), 127.0, device=patch_BRC.device)
            prepared = self.preprocessing.geometry(grey.requires_grad_())
            tall, wide = prepared.shape[2] // rows, prepared.shape[3] // columns
            shared_BHW = patch_BRC.repeat_interleave(tall, 1).repeat_interleave(wide, 2) / (tall * wide)
            covered = prepared[:, 0, : rows * tall, : columns * wide]
            (pixels,) = torch.autograd.grad(covered, grey, shared_BHW.to(covered.dtype))
        # A cubic's weights are negative in places.
        return pixels[:, 0].clamp(min=0).to(patch_BRC.dtype)


def _preprocessing(folder: Path, settings: Any) -> tuple[Preprocessing, tuple[str, ...]]:
    name = "preprocessor_config.json"
    asked = optional_json(folder, name)
    if asked is None:
        asked = (optional_json(folder, "processor_config.json") or {}).get("image_processor")
    if isinstance(asked, dict):
        return Preprocessing.of(asked, folder / name), ()
    size = getattr(settings, "image_size", None)
    assumed = Preprocessing(size=(size, size)) if isinstance(size, int) else Preprocessing()
    return assumed, (
        f"The model's folder has no {name}: its images were given in [0, 1], not normalised, which may not "
        "be how it was trained.",
    )
