"""Between what stands in a widget and what stands in a spec.

`written` makes a spec's value from a widget's, or None where the widget says nothing: then the key is left
out. `entered` is the way back; it raises `ValueError` for what the widget cannot show. What is no number, or
no YAML, is passed on as it was written, so that the validator can say what is wrong with it.
"""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

from raiaudit.audit.yaml_source import read_yaml
from raiaudit.dashboard.new_audit.yaml_text import flow
from raiaudit.errors import SpecError

if TYPE_CHECKING:
    from raiaudit.dashboard.new_audit.fields import Field

__all__ = ["entered", "written"]

_INTEGER = re.compile(r"[-+]?\d{1,18}")
_REAL = re.compile(r"[-+]?(\d{1,18}\.?\d*|\.\d+)([eE][-+]?\d{1,3})?")


def written(field: Field, value: Any) -> Any:
    """The spec's value for what a widget of this kind returned."""
    match field.kind:
        case "integer" | "choice":
            return value
        case "boolean":
            return None if value == bool(field.default) and not field.required else value
        case "text":
            return value or None
        case "number":
            return _number(value) if value and value.strip() else None
        case "numbers":
            numbers = [_number(part) for part in (value or "").split(",") if part.strip()]
            return numbers[0] if len(numbers) == 1 and field.single else numbers or None
        case "texts" | "choices":
            return list(value) or None
        case _:
            return _parsed(value) if value and value.strip() else None


def entered(field: Field, value: Any) -> Any:
    """What a widget of this kind shows for a spec's value; None: as it is when untouched."""
    match field.kind:
        case "integer":
            return _only(value, isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53)
        case "boolean":
            return _only(value, isinstance(value, bool))
        case "choice":
            return _only(value, value in field.choices)
        case "text":
            return _only(value, isinstance(value, str) and value != "")
        case "number":
            return _only(_plain(value), _is_number(value))
        case "numbers":
            listed = value if isinstance(value, list) else [value]
            whole = (isinstance(value, list) and len(value) > (1 if field.single else 0)) or field.single
            return _only(
                ", ".join(map(_plain, listed)), whole and bool(listed) and all(map(_is_number, listed))
            )
        case "texts" | "choices":
            known = isinstance(value, list) and all(isinstance(item, str) for item in value)
            within = field.kind == "texts" or (known and set(value) <= set(field.choices))
            return _only(value, known and within and bool(value) and len(set(value)) == len(value))
        case _:
            return flow(value)


def _only(value: Any, suitable: bool) -> Any:
    if not suitable:
        raise ValueError("the form has no widget for this value")
    return value


def _number(text: str) -> Any:
    text = text.strip()
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _REAL.fullmatch(text) else text


def _is_number(value: Any) -> bool:
    """Whether `_number` of its text gives the value back."""
    if isinstance(value, str):
        return "/" in value and "," not in value and value.strip() == value
    return isinstance(value, int | float) and not isinstance(value, bool) and _number(_plain(value)) == value


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def _parsed(text: str) -> Any:
    for attempt in (text, f"{{{text}}}"):  # `eps: 0.1, attack: pgd` is meant as one mapping
        try:
            return read_yaml(Path("field"), text=f"value:\n{indent(attempt, '  ')}\n").data["value"]
        except SpecError:
            continue
    return text
