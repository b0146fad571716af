"""Charts for a dark page: the report's own, drawn for white paper, with every colour exchanged.

The colours of our theme have counterparts of the same hue by name; any other (the ramps of heat maps) has its
lightness in OKLab (Ottosson 2020, https://bottosson.github.io/posts/oklab/) turned about, white paper
becoming the page and ink becoming light, so that what stood out on paper stands out here, text on coloured
cells too. Data are left alone: a class may be called "white".
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from raiaudit.dashboard.theme import DARK
from raiaudit.reports.theme import FAINT, GRID, INK, MUTED, SERIES, VERDICTS

__all__ = ["SERIES_BY_NIGHT", "at_night", "night_colour"]

SERIES_BY_NIGHT = ("#46a0dd", "#f4803f", "#2fc49a", "#e092bf", "#9ad8ff", "#f2b735", DARK.ink)
_COUNTERPARTS = {
    **dict(zip(SERIES, SERIES_BY_NIGHT, strict=True)),
    **{look.colour: DARK.verdicts[status].text for status, look in VERDICTS.items()},
    **{look.tint: DARK.verdicts[status].tint for status, look in VERDICTS.items()},
    "#ffffff": DARK.page,
    "white": DARK.page,
    "black": DARK.ink,
    INK: DARK.ink,
    MUTED: DARK.muted,
    FAINT: "#75808c",
    GRID: "#2a313a",
}
_HEX = re.compile(r"#[0-9a-f]{6}", re.IGNORECASE)
# What holds words of the data or of our own, never a colour.
_WORDS = frozenset(
    {"data", "datasets", "values", "domain", "title", "field", "format", "expr", "test", "sort"}
)
_PAPER, _DARKEST = 0.199, 0.237  # OKLab lightness of DARK.page and of INK
_BRIGHTEST = 0.933  # and of DARK.ink


def at_night(spec: Any) -> Any:
    """A copy of a Vega-Lite specification with its colours exchanged."""
    if isinstance(spec, dict):
        return {key: part if key in _WORDS else at_night(part) for key, part in spec.items()}
    if isinstance(spec, list):
        colours = [part for part in spec if isinstance(part, str) and _HEX.fullmatch(part)]
        # A ramp is turned about as a whole, so that its steps stay even.
        if colours == spec and any(colour not in _COUNTERPARTS for colour in colours):
            return [_turned(colour) for colour in colours]
        return [at_night(part) for part in spec]
    if isinstance(spec, str) and (spec in _COUNTERPARTS or _HEX.fullmatch(spec)):
        return night_colour(spec)
    return spec


def night_colour(colour: str) -> str:
    """The counterpart of `#rrggbb` on a dark page."""
    return _COUNTERPARTS.get(colour) or _turned(colour)


@lru_cache(maxsize=256)
def _turned(colour: str) -> str:
    lightness, a, b = _oklab(colour)
    share = min(1.0, (1.0 - lightness) / (1.0 - _DARKEST))
    return _rgb(_PAPER + share * (_BRIGHTEST - _PAPER), a, b)


def _oklab(colour: str) -> tuple[float, float, float]:
    red, green, blue = (_linear(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
    long = (0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue) ** (1 / 3)
    middle = (0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue) ** (1 / 3)
    short = (0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short,
    )


def _rgb(lightness: float, a: float, b: float) -> str:
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    channels = (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _encoded(channel)):02x}" for channel in channels)


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def _encoded(channel: float) -> float:
    channel = min(1.0, max(0.0, channel))
    return 12.92 * channel if channel <= 0.0031308 else 1.055 * channel ** (1 / 2.4) - 0.055
