"""The page of the Python API: what `raiaudit` offers by itself, as its docstrings say it.

The module docstrings of `raiaudit/api` hold the text and the example of a section, in Markdown; links in them
start at docs/reference/.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import is_dataclass
from importlib import import_module
from typing import Any, NamedTuple

__all__ = ["python_api"]


class _Section(NamedTuple):
    """`shown` are `module:name` of what the section's functions take and return."""

    title: str
    module: str
    functions: tuple[str, ...]
    shown: tuple[str, ...] = ()


_SECTIONS = (
    _Section(
        "Run an audit",
        "raiaudit.api.auditing",
        ("run_audit",),
        (
            "raiaudit.audit.store:Run",
            "raiaudit.audit.store:Home",
            "raiaudit.audit.measurement:Measurement",
        ),
    ),
    _Section(
        "Attack a model",
        "raiaudit.api.attacking",
        ("attack",),
        ("raiaudit.attacks.evasion.base:AttackResult",),
    ),
    _Section(
        "Infer membership",
        "raiaudit.api.membership",
        ("infer_membership", "phi", "uncertainty"),
        ("raiaudit.api.membership:Membership", "raiaudit.attacks.inference.signals:Signals"),
    ),
    _Section("Compare groups", "raiaudit.api.grouping", ("compare_groups",)),
    _Section(
        "Explain a model",
        "raiaudit.api.explaining",
        ("explain",),
        ("raiaudit.audit.explanations.methods.method:Maps",),
    ),
)

_OF_THE_RUNNER = frozenset({"readable", "write_header", "seal", "sealed_digest", "broken_seals"})
"""Methods of a run that are for those who write it."""

_INTRO = """\
# From Python

What `import raiaudit` offers to a program or a notebook: an audit as on the command line, and the attacks,
tests and explanation methods of an audit on models and arrays of your own. Importing it is cheap; torch is
loaded when something needs it.

| | |
|---|---|
"""

_OUTRO = """\
## Also for programs

| you want | see |
|---|---|
| a test that fails when a gate does | the [pytest fixture](../how-to/ci-gate.md#pytest) |
| a question of your own in every audit | [a check of your own](../how-to/own-check.md) |
| a function or module as the model of an audit | [your own model](../how-to/own-model.md) |
| the numbers of a run in another language | [results.json](results.md), `measurements.csv` |

What stands on this page and on those is kept from version to version, or `CHANGELOG.md` says what became of
it. Modules that are named nowhere in these documents may change without notice.
"""


def python_api() -> str:
    """The whole page."""
    lines = [_INTRO.rstrip()]
    for section in _SECTIONS:
        for name in section.functions:
            lines.append(f"| [`raiaudit.{name}`](#{_anchor(section.title)}) | {_first(_found(name))} |")
    lines.append(f"| [`raiaudit.wilson`](#helpers) | {_first(_found('wilson'))} |")
    lines.append(f"| [`raiaudit.load_dataset`](#helpers) | {_first(_found('load_dataset'))} |")
    lines.append("| [`raiaudit.RaiauditError`](#errors) | the root of every error raised on purpose |")
    for section in _SECTIONS:
        lines += ["", f"## {section.title}", "", _text(import_module(section.module))]
        for name in section.functions:
            lines += _function(f"raiaudit.{name}", _found(name))
        for place in section.shown:
            lines += _class(place)
    lines += ["", "## Helpers"]
    for name in ("wilson", "load_dataset"):
        lines += _function(f"raiaudit.{name}", _found(name))
    errors = import_module("raiaudit.errors")
    lines += ["", "## Errors", "", *_tree(_text(errors)), "", _OUTRO]
    return "\n".join(lines)


def _found(name: str) -> Any:
    import raiaudit

    return getattr(raiaudit, name)


def _function(name: str, function: Any) -> list[str]:
    return ["", f"### {name}", "", "```text", _signature(name, function), "```", "", _text(function)]


def _signature(name: str, function: Any) -> str:
    """On one line where it fits, else a parameter a line."""
    signature = inspect.signature(function)
    # Annotations are texts, which `str` puts in quotes.
    parameters = [re.sub(r": '([^']*)'", r": \1", str(p)) for p in signature.parameters.values()]
    kinds = [p.kind for p in signature.parameters.values()]
    if inspect.Parameter.KEYWORD_ONLY in kinds:
        parameters.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    returned = signature.return_annotation
    end = "" if returned is inspect.Signature.empty else f" -> {returned}"
    whole = f"{name}({', '.join(parameters)}){end}"
    if len(whole) <= 90:
        return whole
    return "\n".join([f"{name}(", *(f"    {parameter}," for parameter in parameters), f"){end}"])


def _class(place: str) -> list[str]:
    """Docstring, fields, and what public properties and methods say in their first paragraph."""
    import raiaudit

    module, _, name = place.partition(":")
    kind = getattr(import_module(module), name)
    public = name in raiaudit.__all__
    heading = [f"### raiaudit.{name}"] if public else [f"### {name}", "", f"`{module}.{name}`"]
    lines = ["", *heading, "", _text(kind)]
    rows = []
    fields = kind.__annotations__ if is_dataclass(kind) or hasattr(kind, "model_fields") else {}
    for field, annotation in fields.items():
        if not field.startswith("_") and field != "model_config":
            rows.append(f"| `{field}` | {_cell(f'`{annotation}`')} |")
    for member, value in vars(kind).items():
        if member.startswith("_") or member in fields or member in _OF_THE_RUNNER or not _told(value):
            continue
        inner = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        call = "" if isinstance(value, property) else "()"
        rows.append(f"| `{member}{call}` | {_first(inner)} |")
    return [*lines, "", "| | |", "|---|---|", *rows] if rows else lines


def _told(value: Any) -> bool:
    return isinstance(value, property | classmethod) or inspect.isfunction(value)


def _tree(text: str) -> list[str]:
    """The docstring of the errors, whose indented tree is preformatted."""
    lines = text.splitlines()
    drawn = [i for i, line in enumerate(lines) if line.startswith("    ")]
    before, after = lines[: drawn[0]], lines[drawn[-1] + 1 :]
    tree = [line[4:] for line in lines[drawn[0] : drawn[-1] + 1]]
    return [*before, "```text", *tree, "```", *after]


def _text(thing: Any) -> str:
    return inspect.getdoc(thing) or ""


def _first(thing: Any) -> str:
    return _cell(_text(thing).split("\n\n", 1)[0])


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
