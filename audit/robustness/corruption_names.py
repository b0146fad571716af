"""Image corruptions by name and group, for those who validate a spec without a tensor library.

A test holds this table against `CORRUPTIONS` in `attacks/corruptions/`.
"""

from __future__ import annotations

from collections.abc import Sequence

from raiaudit.errors import UnknownNameError

__all__ = ["CATEGORIES", "CATEGORY", "GROUPS", "chosen"]

CATEGORIES: dict[str, tuple[str, ...]] = {
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
    "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "weather": ("snow", "frost", "fog", "brightness"),
    "digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
    "extra": ("speckle_noise", "gaussian_blur", "spatter", "saturate"),
}
"""The paper's four kinds, and its four corruptions to develop a defence with."""

CATEGORY = {name: category for category, names in CATEGORIES.items() for name in names}

GROUPS: dict[str, tuple[str, ...]] = {
    **CATEGORIES,
    "standard": tuple(name for name, category in CATEGORY.items() if category != "extra"),
    "all": tuple(CATEGORY),
}
"""What a name in a spec may stand for: the paper's fifteen are "standard"."""


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """Corruptions for names of corruptions and groups, each once. Raises `UnknownNameError`."""
    for name in names:
        if name not in CATEGORY and name not in GROUPS:
            raise UnknownNameError("corruption", name, [*GROUPS, *CATEGORY])
    wanted = [member for name in names for member in GROUPS.get(name, (name,))]
    return tuple(dict.fromkeys(wanted))
