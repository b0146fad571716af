"""Where a gate is written: the spec's file and line, as a document may point at it.

The header of a run names its spec as the command did, so the file is looked for from the working folder;
what it says there is believed only if the very gate stands in it. Otherwise, and for a spec that has moved
or changed since, the run's own `spec.lock.yaml` is what the gate was read from.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from pydantic import ValidationError

from raiaudit.audit.gates import Gate
from raiaudit.audit.yaml_source import read_yaml
from raiaudit.errors import SpecError

if TYPE_CHECKING:
    from raiaudit.audit.gates import Verdict
    from raiaudit.audit.store import Run
    from raiaudit.audit.yaml_source import Location, YamlSource

__all__ = ["Place", "Places"]


@dataclass(frozen=True, slots=True)
class Place:
    """`uri`: relative to the repository's root, percent-encoded. `line` from 1."""

    uri: str
    line: int


class Places:
    """The gates of one run in its files, each file read once."""

    def __init__(self, run: Run) -> None:
        spec, lock = Path(run.header.spec_path), run.folder / "spec.lock.yaml"
        self._sources = [source for path in (spec, lock) if (source := _read(path)) is not None]
        self._lock = lock

    def of(self, verdict: Verdict) -> Place:
        """Where the gate of a verdict is written, or the check if the verdict has no gate."""
        for source in self._sources:
            if (at := _find(source, verdict)) is not None:
                return Place(_uri(source.path), source.lines.get(at, 1))
        return Place(_uri(self._lock), 1)


def _read(path: Path) -> YamlSource | None:
    try:
        return read_yaml(path) if path.is_file() else None
    except SpecError:
        return None


def _find(source: YamlSource, verdict: Verdict) -> Location | None:
    checks = source.data.get("checks")
    for i, check in enumerate(checks if isinstance(checks, list) else ()):
        if not isinstance(check, dict) or check.get("use") != verdict.check:
            continue
        if verdict.gate is None:
            return ("checks", i)
        written = check.get("gate")
        if isinstance(written, dict) and _read_gate(written) == verdict.gate:
            return ("checks", i, "gate")
        for j, gate in enumerate(written if isinstance(written, list) else ()):
            if _read_gate(gate) == verdict.gate:
                return ("checks", i, "gate", j)
    return None


def _read_gate(written: object) -> Gate | None:
    try:
        return Gate.model_validate(written)
    except ValidationError:
        return None


def _uri(path: Path) -> str:
    """Relative to the repository that holds the file, else to the working folder, else the bare name."""
    whole = path.resolve()
    root = next((folder for folder in whole.parents if (folder / ".git").exists()), Path.cwd().resolve())
    named = whole.relative_to(root) if whole.is_relative_to(root) else Path(whole.name)
    return quote(named.as_posix())
