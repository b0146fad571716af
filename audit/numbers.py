"""Numbers as people write them in a spec: 0.031, or 8/255."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BeforeValidator

__all__ = ["Fraction", "parse_number"]


def parse_number(value: Any) -> Any:
    """`"8/255"` → 0.03137…; other values unchanged. Raises `ValueError` for a bad fraction or NaN."""
    if isinstance(value, str) and value.count("/") == 1:
        above, below = value.split("/")
        try:
            value = float(above) / float(below)
        except (ValueError, ZeroDivisionError):
            raise ValueError(f"{above}/{below} is not a number such as 8/255") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be a finite number")
    return value


Fraction = Annotated[float, BeforeValidator(parse_number)]
