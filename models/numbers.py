"""Numbers as people write them in a spec: 0.031, 8/255 or 1e-3 (which YAML 1.1 takes for text)."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

__all__ = ["Fraction", "Fractions", "SliceValue", "parse_number"]

_FRACTION = re.compile(r"\s*(-?[\d.]+)\s*/\s*([\d.]+)\s*")
_EXPONENT = re.compile(r"-?\d+(\.\d*)?[eE][-+]?\d+")


def parse_number(value: Any) -> Any:
    """`"8/255"` → 0.03137…, `"1e-3"` → 0.001; anything else unchanged.

    Raises `ValueError` for a bad fraction, NaN and infinity.
    """
    if isinstance(value, str) and (found := _FRACTION.fullmatch(value)):
        try:
            value = float(found[1]) / float(found[2])
        except (ValueError, ZeroDivisionError):
            raise ValueError(f"{value} is not a number such as 8/255") from None
    elif isinstance(value, str) and _EXPONENT.fullmatch(value):
        value = float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be a finite number")
    return value


def _fraction(value: Any) -> Any:
    if isinstance(value, bool):  # YAML 1.1 reads yes and on as true
        raise ValueError("must be a number")
    return parse_number(value)


def _slice_value(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str):
        raise ValueError("must be a number, a text or true/false")
    return parse_number(value)


_WRITTEN = {
    "anyOf": [
        {"type": "number"},
        {"type": "string", "pattern": r"^\s*-?[0-9.]+(\s*/\s*[0-9.]+|[eE][-+]?[0-9]+)\s*$"},
    ]
}
Fraction = Annotated[
    float,
    Field(allow_inf_nan=False),
    BeforeValidator(_fraction),
    WithJsonSchema(_WRITTEN, mode="validation"),
]
Fractions = Annotated[
    tuple[Fraction, ...],
    BeforeValidator(lambda value: value if isinstance(value, list | tuple) else (value,)),
    WithJsonSchema(
        {"anyOf": [_WRITTEN, {"type": "array", "items": _WRITTEN, "minItems": 1}]}, mode="validation"
    ),
]
"""One number or a list of them."""
SliceValue = Annotated[bool | int | float | str, BeforeValidator(_slice_value)]
