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

_SAFE = 2**53  # a browser counts no further
_INTEGER = re.compile(r"[-+]?\d{1,18}")
_REAL = re.compile(r"[-+]?(\d{1,18}(\.\d{0,18})?|\.\d{1,18})([eE][-+]?\d{1,2})?")


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
            return value[0] if len(value) == 1 and field.single else list(value) or None
        case _:
            return _parsed(value) if value and value.strip() else None


def entered(field: Field, value: Any) -> Any:
    """What a widget of this kind shows for a spec's value."""
    shown = _shown(field, value)
    if shown is None:
        said = f"{field.key}: {value!r}"
        raise ValueError(f"the form has no widget for {said if len(said) <= 90 else f'{said[:90]}…'}")
    return shown


def _shown(field: Field, value: Any) -> Any:
    listed = value if isinstance(value, list) else [value] if field.single else []
    match field.kind:
        case "integer":
            return value if type(value) is int and abs(value) < _SAFE else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "choice":
            return value if value in field.choices else None
        case "text":
            return value if isinstance(value, str) else None
        case "number":
            return _plain(value) if _is_number(value) else None
        case "numbers":
            return ", ".join(map(_plain, listed)) if listed and all(map(_is_number, listed)) else None
        case "texts" | "choices":
            names = all(isinstance(item, str) for item in listed) and len(set(listed)) == len(listed)
            known = field.kind == "texts" or set(listed) <= set(field.choices) if names else False
            return listed if listed and known else None
        case _:
            return flow(value)


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
