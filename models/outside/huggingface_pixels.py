"""preprocessor_config.json as differentiable operations on tensors.

How a network wants its pictures: resized (bilinear, bicubic or nearest, with antialiasing as Pillow has it),
cropped in the middle, rescaled from 0…255, in BGR, normalised a channel at a time. A step that is not known
here is refused: a model must not be judged on other pictures than its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn import functional

from raiaudit.errors import ArtifactRefusedError

__all__ = ["Preprocessing"]

_MODES = {0: "nearest", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers
_KNOWN = frozenset({"do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_flip_channel_order"})
_WITHOUT_EFFECT = frozenset({"do_convert_rgb", "do_reduce_labels"})
_CROP_FRACTION_BELOW = 384  # a rule of ConvNeXT's processor


@dataclass(frozen=True)
class Preprocessing:
    """`size` is (height, width), or the shorter side alone; `scale` multiplies values of 0…255."""

    size: tuple[int, int] | int | None = None
    crop: tuple[int, int] | None = None
    mode: str = "bilinear"
    scale: float = 1 / 255
    flipped: bool = False
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    @classmethod
    def of(cls, settings: Mapping[str, Any], where: Path) -> Preprocessing:
        """As the file says. `ArtifactRefusedError` for what cannot be repeated here."""
        asked = {name for name, value in settings.items() if name.startswith("do_") and value is True}
        try:
            if unknown := sorted(asked - _KNOWN - _WITHOUT_EFFECT):
                raise ValueError(f"the step {unknown[0]!r}")
            size = _size(settings.get("size")) if settings.get("do_resize", "size" in settings) else None
            crop = _size(settings.get("crop_size")) if "do_center_crop" in asked else None
            if isinstance(crop, int):
                crop = (crop, crop)
            if isinstance(size, int) and settings.get("crop_pct") and size < _CROP_FRACTION_BELOW:
                size, crop = int(size / settings["crop_pct"]), (size, size)
            normalized = settings.get("do_normalize", "image_mean" in settings)
            return cls(
                size,
                crop,
                _MODES[settings.get("resample", 2)],
                float(settings.get("rescale_factor", 1 / 255)) if settings.get("do_rescale", True) else 1.0,
                "do_flip_channel_order" in asked,
                tuple(float(number) for number in settings["image_mean"]) if normalized else (0.0,),
                tuple(float(number) for number in settings["image_std"]) if normalized else (1.0,),
            )
        except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
            raise ArtifactRefusedError(
                f"its preprocessing cannot be repeated: {error}",
                where=str(where),
                remedy="export the model with its preprocessing as an ONNX graph",
            ) from None

    def geometry(self, x_BCHW: Tensor) -> Tensor:
        """Values of 0…255, resized, cropped, in the order of channels asked for."""
        height, width = x_BCHW.shape[2:]
        wanted = self.size
        if isinstance(wanted, int):
            short = min(height, width)
            wanted = (height * wanted // short, width * wanted // short)
        if wanted is not None and wanted != (height, width):
            smooth = {"antialias": True, "align_corners": False} if self.mode != "nearest" else {}
            x_BCHW = functional.interpolate(x_BCHW, wanted, mode=self.mode, **smooth)
            x_BCHW = x_BCHW.clamp(0, 255)  # a cubic overshoots, a picture does not
        if self.crop is not None:
            (height, width), (tall, wide) = x_BCHW.shape[2:], self.crop
            top, left = (height - tall) // 2, (width - wide) // 2
            x_BCHW = functional.pad(x_BCHW, [-left, wide - width + left, -top, tall - height + top])
        return x_BCHW.flip(1) if self.flipped else x_BCHW


def _size(value: Any) -> tuple[int, int] | int:
    """(height, width), or the shorter side."""
    if isinstance(value, dict) and value.keys() == {"shortest_edge"}:
        size = int(value["shortest_edge"])
        if not 0 < size <= 4096:
            raise ValueError(f"a size of {size}")
        return size
    if isinstance(value, int):
        value = {"height": value, "width": value}
    if not isinstance(value, dict) or value.keys() != {"height", "width"}:
        raise ValueError(f"the size {str(value)[:80]}")
    height, width = int(value["height"]), int(value["width"])
    if not (0 < height <= 4096 and 0 < width <= 4096):
        raise ValueError(f"a size of {height}×{width}")
    return height, width
