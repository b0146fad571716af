"""What the validator says of a text that is not a file yet, and which field it means.

It is the validator of `raiaudit validate` and `raiaudit run`, asked about the file that would be written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from raiaudit.audit.resolution import refuse_unsafe_models
from raiaudit.audit.spec import load_spec
from raiaudit.errors import RaiauditError, SpecError

if TYPE_CHECKING:
    from pathlib import Path

    from raiaudit.audit.spec import LoadedSpec

__all__ = ["Problem", "check"]


@dataclass(frozen=True, slots=True)
class Problem:
    """`key`: the dotted path that the validator names; `line` of the text. Either may be unknown."""

    text: str
    remedy: str = ""
    key: str = ""
    line: int | None = None

    def concerns(self, key: str) -> bool:
        """Whether the field under this key, or something in it, is meant."""
        return self.key == key or self.key.startswith(f"{key}.")


def check(text: str, path: Path) -> LoadedSpec | list[Problem]:
    """The spec that `text` is, were it the file `path`; or all that is wrong with it, by line."""
    try:
        loaded = load_spec(path, text=text)
        refuse_unsafe_models(loaded, unsafe_load=False)
    except SpecError as error:
        return [_placed(each, path) for each in error.mistakes]
    except RaiauditError as error:
        return [Problem(str(error))]
    except OSError as error:  # a path that no file can have
        return [Problem(error.strerror or str(error))]
    return loaded


def _placed(error: SpecError, path: Path) -> Problem:
    place = (error.where or "").removeprefix(str(path)).removeprefix(":")
    line, _, rest = place.partition(" ")
    return Problem(
        error.problem,
        error.remedy or "",
        key=rest.removeprefix("(").removesuffix(")"),
        line=int(line) if line.isdecimal() else None,
    )
