"""What pydantic found wrong with a file, in our words: file, line, key, and the nearest key that exists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from raiaudit.errors import SpecError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import ValidationError

    from raiaudit.audit.yaml_source import Location, YamlSource

    Unions = Mapping[str, Mapping[str, type[BaseModel]]]

__all__ = ["explained"]

_PLAIN_WORDS = {
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
}


def explained(
    error: ValidationError,
    source: YamlSource,
    root: type[BaseModel],
    prefix: Location,
    unions: Unions | None = None,
) -> SpecError:
    """The first problem pydantic found; the number of others is mentioned.

    `prefix` is where in the file the `root` begins. `unions` are its keys that one of several models
    may fill, by the tag that pydantic puts behind the key.
    """
    unions = unions or {}
    problems = error.errors()
    # A list also counts as too short when its items are wrong: that is a consequence, not a problem.
    problems = [p for p in problems if not any(_inside(other["loc"], p["loc"]) for other in problems)]
    first = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    location = tuple(first["loc"])
    where = source.place((*prefix, *_as_written(location, unions)))
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        unknown = UnknownNameError("key", str(location[-1]), _keys_at(root, location[:-1], unions))
        return SpecError(unknown.problem + more, where=where, remedy=unknown.remedy)
    if first["type"] == "missing":
        keys = ", ".join(_keys_at(root, location[:-1], unions))
        remedy = f"the keys here are {keys}"
        return SpecError(f"the key {location[-1]!r} is missing{more}", where=where, remedy=remedy)
    message = _PLAIN_WORDS.get(first["type"]) or first["msg"].removeprefix("Value error, ")
    given = first.get("input")
    shown = "" if isinstance(given, dict | list) or given is None else f", got {_short(given)}"
    return SpecError(f"{message}{shown}{more}", where=where)


def _inside(location: Location, outer: Location) -> bool:
    return len(location) > len(outer) and location[: len(outer)] == outer


def _as_written(location: Location, unions: Unions) -> Location:
    """Without the tag of a union, which the file does not have."""
    return location[:1] + location[2:] if location and location[0] in unions else location


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _keys_at(root: type[BaseModel], location: Location, unions: Unions) -> list[str]:
    """The valid keys of the model that `location` leads to."""
    model = root
    for i, part in enumerate(location):
        if i == 1 and location[0] in unions:
            model = unions[str(location[0])][str(part)]
        elif isinstance(part, str) and (field := _field(model, part)) is not None:
            found = _model_in(field.annotation)
            if found is not None:
                model = found
    return [info.alias or name for name, info in model.model_fields.items()]


def _field(model: type[BaseModel], key: str) -> Any:
    return next((info for name, info in model.model_fields.items() if key in (name, info.alias)), None)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
