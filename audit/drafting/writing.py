"""The drafted spec as YAML with comments. Whatever comes from outside is quoted in values and made printable
in comments, so that no name can end a line, open a tag or turn into a number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from raiaudit.audit.drafting.guesses import printable

__all__ = ["comment", "entry", "flow"]

_PLAIN = re.compile(r"[A-Za-z_.][A-Za-z0-9_./-]*|[0-9]+/[0-9]+")
_LINE = 110


def flow(value: Any) -> str:
    """A value in YAML's flow style on one line: mappings, lists and scalars, quoted where they must be."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Sequence):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    if isinstance(value, float):
        return _float(value)
    return str(yaml.safe_dump(value)).split("\n", 1)[0]


def comment(text: str, *, indent: int = 0) -> list[str]:
    """Lines of a comment, wrapped."""
    lines, line = [], ""
    for word in printable(text, 600).split(" "):
        if line and len(line) + len(word) + indent + 3 > _LINE:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [" " * indent + "# " + part for part in (*lines, line)]


def entry(key: str, value: Any, why: str = "", *, indent: int = 0, first: str = "") -> list[str]:
    """`key: value # why`, in a list item when `first` is "- "; a long remark goes above."""
    line = " " * indent + f"{first}{key}: {flow(value)}"
    remarked = f"{line} # {printable(why, 300)}"
    if not why or len(remarked) <= _LINE:
        return [remarked if why else line]
    return [*comment(why, indent=indent), line]


def _string(text: str) -> str:
    plain = _PLAIN.fullmatch(text) and yaml.safe_load(text) == text
    if plain:
        return text
    quoted = yaml.safe_dump(text, default_style='"', width=10**9, allow_unicode=True)
    return str(quoted).rstrip("\n")


def _float(value: float) -> str:
    """With a point in the mantissa: YAML 1.1 takes 1e-3 for a text."""
    text = repr(value)
    return text if "e" not in text or "." in text.split("e")[0] else text.replace("e", ".0e")
