"""Fields of a form, read off a JSON Schema: what may be written under each key, and how a person is told.

Only the schema is asked: types, enums, bounds, descriptions, defaults. A value that no widget fits (a mapping
of mappings, say) is a field of kind `yaml`: a box for YAML, as in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

__all__ = ["Field", "Kind", "fields_of"]

Kind = Literal[
    "integer", "number", "boolean", "choice", "choices", "text", "texts", "numbers", "group", "yaml"
]
Schema = Mapping[str, Any]

_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One key. `default` is what leaving it out means; `inner` are the keys of a `group`.

    A `number` may be written 8/255. `single`: one of `numbers` or `choices` may stand without a list, or the
    YAML fits a line.
    `optional` says that the key may also be null, which means the same as `default` None.
    """

    key: str
    kind: Kind
    description: str = ""
    default: Any = None
    required: bool = False
    optional: bool = False
    choices: tuple[str, ...] = ()
    bounds: Mapping[str, float] | None = None
    single: bool = False
    inner: tuple[Field, ...] = ()

    @property
    def label(self) -> str:
        """The key as words: `batch_size` → "Batch size"."""
        words = self.key.replace("_", " ").strip()
        return words[:1].upper() + words[1:]

    @property
    def help(self) -> str:
        """What a person needs to know besides the name, as plain text."""
        parts = [self.description] if self.description else []
        limits = [_BOUNDS[name].format(f"{limit:g}") for name, limit in (self.bounds or {}).items()]
        if limits:
            parts.append(" and ".join(limits))
        if self.kind == "numbers":
            parts.append("several with commas between them")
        if self.kind == "yaml":
            parts.append("written as YAML")
        if self.usual:
            parts.append(f"default: {self.usual}")
        return " · ".join(parts)

    @property
    def usual(self) -> str:
        """The default in words; nothing where it says nothing."""
        return "" if self.default in (None, "", (), [], {}) else _shown(self.default)


def fields_of(schema: Schema, root: Schema | None = None) -> tuple[Field, ...]:
    """The keys of an object schema, in its order; `$ref`s are looked up in `root`, by default itself."""
    whole = schema if root is None else root
    required = frozenset(schema.get("required", ()))
    return tuple(
        _field(key, part, whole, required=key in required)
        for key, part in schema.get("properties", {}).items()
    )


def _field(key: str, schema: Schema, root: Schema, *, required: bool) -> Field:
    found = _typed(_resolved(schema, root), root)
    description = schema.get("description") or found.get("description", "")
    shaped = Field(key, "yaml", description, schema.get("default", found.get("default")), required)
    return _shaped(shaped, found, root)


def _shaped(field: Field, schema: Schema, root: Schema) -> Field:
    """`field` with the kind that `schema` asks for, and what belongs to it."""
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return _one_of(field, [_resolved(option, root) for option in options], root)
    kind = schema.get("type")
    if "const" in schema:
        return replace(field, kind="choice", choices=(str(schema["const"]),))
    if "enum" in schema:
        return replace(field, kind="choice", choices=tuple(str(value) for value in schema["enum"]))
    if kind in ("integer", "number"):
        bounds = {name: schema[name] for name in _BOUNDS if name in schema}
        return replace(field, kind=kind, bounds=bounds or None)
    if kind == "boolean":
        return replace(field, kind="boolean")
    if kind == "string":
        return replace(field, kind="text")
    if kind == "array" and "items" in schema:
        return _list(field, _resolved(schema["items"], root), root)
    if kind == "object" and "properties" in schema:
        return replace(field, kind="group", inner=fields_of(schema, root))
    return replace(field, single=kind == "object" and _is_flat(schema.get("additionalProperties")))


def _is_flat(values: Any) -> bool:
    """Whether a mapping's values are single ones, as those of a gate's `where`."""
    if not isinstance(values, dict) or "$ref" in values:
        return False
    kinds = {option.get("type") for option in values.get("anyOf", [values])}
    return kinds <= {"boolean", "integer", "number", "string"}


def _list(field: Field, items: Schema, root: Schema) -> Field:
    of = _shaped(Field(field.key, "yaml"), items, root)
    if of.kind == "choice":
        return replace(field, kind="choices", choices=of.choices)
    if of.kind in ("number", "integer"):
        return replace(field, kind="numbers")
    return replace(field, kind="texts") if of.kind == "text" else field


def _one_of(field: Field, options: list[Schema], root: Schema) -> Field:
    rest = [option for option in options if option.get("type") != "null"]
    field = replace(field, optional=len(rest) < len(options))
    shapes = [_shaped(field, option, root) for option in rest]
    kinds = {shape.kind for shape in shapes}
    if len(shapes) == 1:
        return shapes[0]
    if kinds == {"number", "text"}:  # 0.03, or written 8/255
        return replace(field, kind="number")
    if kinds <= {"number", "integer", "numbers"}:  # one or several
        return replace(field, kind="numbers", single=True)
    if kinds == {"choice", "choices"}:
        return replace(next(shape for shape in shapes if shape.kind == "choices"), single=True)
    return field


def _typed(schema: Schema, root: Schema) -> Schema:
    """Without the wrapping that pydantic puts around a reference that has a default."""
    parts = schema.get("allOf")
    return _resolved(parts[0], root) if parts and len(parts) == 1 else schema


def _resolved(schema: Schema, root: Schema) -> Schema:
    while "$ref" in schema:
        found: Any = root
        for name in str(schema["$ref"]).removeprefix("#/").split("/"):
            found = found[name.replace("%20", " ")]
        schema = found
    return schema


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(_shown(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(item)}" for key, item in value.items() if item not in ("", None))
    return str(value)
