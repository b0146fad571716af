"""YAML that people and strangers write: safe, bounded, and every value knows its line.

Refused with the line: tags (they build objects), anchors and aliases (a few lines can expand to
gigabytes), duplicate keys, more than 1 MiB, more than 20,000 values, more than 40 levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from raiaudit.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Location", "YamlSource", "read_yaml"]

MAX_BYTES = 1 << 20
MAX_DEPTH = 40
MAX_VALUES = 20_000

Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class YamlSource:
    """The plain data of a file, its text, and the line (from 1) of every key path."""

    path: Path
    text: str
    data: Any
    lines: dict[Location, int]

    def place(self, location: Location) -> str:
        """`file:line (key.path)`, of the deepest part of `location` that the file has."""
        known, rest = self._known(location)
        key = ".".join(_printable(str(part)) for part in known + rest)
        line = self.lines.get(known, 1)
        return f"{self.path}:{line} ({key})" if key else f"{self.path}:{line}"

    def line(self, location: Location) -> int:
        """The line of the deepest part of `location` that the file has."""
        return self.lines.get(self._known(location)[0], 1)

    def _known(self, location: Location) -> tuple[Location, Location]:
        """What the file has of `location`, and the rest; an item of a list written as one value is it."""
        known: Location = ()
        for i, part in enumerate(location):
            for written in (part, str(part)):  # a key may be a number
                if (*known, written) in self.lines:
                    known = (*known, written)
                    break
            else:
                if part != 0:
                    return known, location[i:]
        return known, ()


def read_yaml(
    path: Path, root: type[dict[str, Any]] | type[list[Any]] = dict, *, text: str | None = None
) -> YamlSource:
    """Read a YAML mapping, or list; `text` stands for what the file will hold, if it is not written yet.

    Raises `SpecError` naming file and line.
    """
    text = _text(path) if text is None else _bounded(text.encode(), path)
    try:
        _refuse_tricks(text, path)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            remedy = "start from `raiaudit init`" if root is dict else "write [] for an empty list"
            raise SpecError("the file is empty", where=str(path), remedy=remedy)
        lines: dict[Location, int] = {}
        if twice := list(_index(node, (), lines, path)):
            first, *others = twice
            raise SpecError(first.problem, where=first.where, remedy=first.remedy, others=others)
        data = yaml.SafeLoader(text).construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        raise SpecError(f"not plain YAML: {error.problem or error.context}", where=place) from None
    except yaml.YAMLError as error:
        raise SpecError(f"not plain YAML: {error}", where=str(path)) from None
    except (ValueError, RecursionError) as error:  # e.g. a timestamp with month 13
        raise SpecError(f"not plain YAML: {error}", where=str(path)) from None
    if not isinstance(data, root):
        problem = "a spec is a mapping of keys to values" if root is dict else "this is no list"
        raise SpecError(problem, where=f"{path}:1")
    return YamlSource(path, text, data, lines)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        return _bounded(content, path)
    except FileNotFoundError:
        remedy = "check the path, or write a starting point with `raiaudit init`"
        raise SpecError("no such file", where=str(path), remedy=remedy) from None
    except UnicodeDecodeError as error:
        raise SpecError(f"not UTF-8 text (byte {error.start})", where=str(path)) from None
    except OSError as error:
        raise SpecError(f"cannot be read ({error.strerror})", where=str(path)) from None


def _bounded(content: bytes, path: Path) -> str:
    if len(content) > MAX_BYTES:
        raise SpecError("the file is larger than 1 MiB: this is not a spec", where=str(path))
    return content.decode()


def _refuse_tricks(text: str, path: Path) -> None:
    depth = 0
    for n, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        mark = event.start_mark
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        if n > MAX_VALUES:  # a mebibyte of one-letter values takes the parser a minute
            raise SpecError(f"more than {MAX_VALUES:,} values: this is not a spec", where=place)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise SpecError(
                "anchors and aliases are not allowed in a spec", where=place, remedy="write the value out"
            )
        if getattr(event, "tag", None):
            raise SpecError("tags are not allowed in a spec", where=place, remedy="remove the !tag")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise SpecError(f"nested deeper than {MAX_DEPTH} levels", where=place)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _index(
    node: yaml.Node, location: Location, lines: dict[Location, int], path: Path
) -> Iterator[SpecError]:
    """Fills `lines`; yields an error for each key that stands twice."""
    lines.setdefault(location, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            yield from _index(item, (*location, i), lines, path)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*location, str(key.value))
            line = key.start_mark.line + 1
            if here in lines:
                yield SpecError(
                    f"the key {_printable(str(key.value))!r} stands twice (first on line {lines[here]})",
                    where=f"{path}:{line}",
                    remedy="keep one of them",
                )
                continue
            lines[here] = line
            yield from _index(value, here, lines, path)


def _printable(text: str) -> str:
    """A key as one short line that cannot steer a terminal."""
    shown = text if len(text) <= 60 else f"{text[:60]}…"
    return shown if shown.isprintable() else ascii(shown)
