"""Numbers as people write them in a spec: 0.031, or 8/255."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator

__all__ = ["Fraction", "SliceValue", "parse_number"]

_FRACTION = re.compile(r"\s*(-?[\d.]+)\s*/\s*([\d.]+)\s*")


def parse_number(value: Any) -> Any:
    """`"8/255"` → 0.03137…; anything else unchanged. Raises `ValueError` for a bad fraction or NaN."""
    if isinstance(value, str) and (found := _FRACTION.fullmatch(value)):
        try:
            value = float(found[1]) / float(found[2])
        except (ValueError, ZeroDivisionError):
            raise ValueError(f"{value} is not a number such as 8/255") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be a finite number")
    return value


Fraction = Annotated[float, BeforeValidator(parse_number)]
SliceValue = Annotated[bool | int | float | str, BeforeValidator(parse_number)]
