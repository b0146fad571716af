"""A spec as YAML for people: in the order of the schema, with the schema's words as comments.

Values are written by PyYAML, so that whatever a field holds (line breaks, `#`, `!!tag`, `yes`) is read back
as the same value; what a person could not see (controls, marks that turn the direction of text) is escaped.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import yaml

from raiaudit.dashboard.new_audit.fields import fields_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from raiaudit.dashboard.new_audit.fields import Field

__all__ = ["commented", "flow"]

_HEAD = "# `raiaudit validate FILE` checks this spec, `raiaudit run FILE` carries it out."
_WIDTH = 108


class _Dumper(yaml.SafeDumper):
    """Never an alias: a spec may not have one."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """What is not plainly visible is escaped, which only double quotes do."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _text)


def flow(value: Any) -> str:
    """A value on one line."""
    text: str = yaml.dump(
        [value],
        Dumper=_Dumper,
        default_flow_style=True,
        width=float("inf"),
        allow_unicode=_visible(value),
        sort_keys=False,
    )
    return text.strip()[1:-1]


def commented(spec: Mapping[str, Any], questions: Mapping[str, tuple[str, Sequence[Field]]]) -> str:
    """The file's text; all keys must be the schema's. `questions`: check → what it asks, and its options."""
    lines = [_HEAD]
    for field in _spec_fields():
        if field.key == "checks" and spec.get("checks"):
            lines.append("checks:")
            for check in spec["checks"]:
                lines += _check(check, questions)
        elif field.key == "models" and spec.get("models"):
            lines.append("models:")
            for model in spec["models"]:
                lines += _listed(model)
        elif field.key in spec:
            lines += _entry(field.key, spec[field.key], 0, field.inner, None)
    return "\n".join(lines) + "\n"


@cache
def _spec_fields() -> tuple[Field, ...]:
    from raiaudit.audit.spec import Spec

    return fields_of(Spec.model_json_schema(by_alias=True))


def _listed(model: Mapping[str, Any]) -> Iterator[str]:
    """A model of several, its first key behind the dash."""
    inner = _model_fields()
    lines = [line for key in model for line in _entry(key, model[key], 4, inner[key].inner, inner[key])]
    yield f"  - {lines[0].lstrip()}"
    yield from lines[1:]


@cache
def _model_fields() -> Mapping[str, Field]:
    from raiaudit.audit.model_spec import ModelSpec

    return {field.key: field for field in fields_of(ModelSpec.model_json_schema(by_alias=True))}


def _check(check: Mapping[str, Any], questions: Mapping[str, tuple[str, Sequence[Field]]]) -> Iterator[str]:
    question, options = questions.get(check["use"], ("", ()))
    if question:
        yield f"  # {_one_line(question)}"
    yield f"  - use: {flow(check['use'])}"
    if "with" in check:
        yield from _entry("with", check["with"], 4, options, None)
    if "gate" in check:
        yield "    gate:"
        for gate in check["gate"]:
            yield f"      - {flow(gate)}"
    if "only" in check:
        yield f"    only: {flow(check['only'])}"


def _entry(key: str, value: Any, depth: int, inner: Sequence[Field], field: Field | None) -> Iterator[str]:
    """`key: value`, a mapping on lines of its own where its keys are known, else on one line."""
    margin = " " * depth
    known = {part.key: part for part in inner}
    if isinstance(value, dict) and value and value.keys() <= known.keys():
        yield f"{margin}{key}:"
        for name, part in value.items():
            of = known[name]
            yield from _entry(name, part, depth + 2, of.inner, of)
        return
    line = f"{margin}{key}: {flow(value)}"
    said = _one_line(field.description) if field is not None else ""
    yield f"{line} # {said}" if said and len(line) + len(said) + 3 <= _WIDTH else line


def _visible(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_visible(key) and _visible(part) for key, part in value.items())
    if isinstance(value, list | tuple):
        return all(map(_visible, value))
    return not isinstance(value, str) or value.isprintable()


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
