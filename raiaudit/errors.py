"""The one vocabulary of errors, and the exit code each stands for.

    RaiauditError            3   the audit could not reach a verdict
    ├── UsageError           2   the caller asked for something that cannot be
    │   ├── SpecError            a spec is unreadable or wrong (file, line, key)
    │   ├── DataError            a data set is damaged or does not fit (file, row, column)
    │   ├── UnknownNameError     no such model, check, attack, data set…
    │   └── NotComparableError   two runs whose difference would say nothing
    ├── ArtifactRefusedError 4   a model file that could run code, or does not fit its claim
    ├── CapabilityError      3   the model cannot be asked what a check needs
    ├── QueryFailedError     3   a black box has no usable answer for some examples
    ├── SubjectUnavailableError  3   a black box does not answer at all, or never as it should
    └── StorageError         3   a file of ours is damaged or cannot be written

A message says what was wrong, where, and what to do; `str(error)` is meant for a person.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

__all__ = [
    "ArtifactRefusedError",
    "CapabilityError",
    "DataError",
    "NotComparableError",
    "QueryFailedError",
    "RaiauditError",
    "SpecError",
    "StorageError",
    "SubjectUnavailableError",
    "UnknownNameError",
    "UsageError",
]


_MOST_MISTAKES = 20


class RaiauditError(Exception):
    """Root of the tree. `problem` is one sentence, `where` a place, `remedy` what to do next."""

    exit_code = 3

    def __init__(self, problem: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.problem}" if self.where else self.problem]
        if self.remedy:
            parts.append(f"→ {self.remedy}")
        return "\n".join(parts)


class UsageError(RaiauditError):
    """The caller asked for something that cannot be done."""

    exit_code = 2


class SpecError(UsageError):
    """A spec is unreadable or wrong; `where` is `file:line (key)`. `others`: more mistakes in it."""

    def __init__(
        self,
        problem: str,
        *,
        where: str | None = None,
        remedy: str | None = None,
        others: Iterable["SpecError"] = (),
    ) -> None:
        super().__init__(problem, where=where, remedy=remedy)
        self.others = tuple(others)

    @property
    def mistakes(self) -> tuple["SpecError", ...]:
        """All of them, in the order of the file; each speaks for itself alone."""
        return (SpecError(self.problem, where=self.where, remedy=self.remedy), *self.others)

    def __str__(self) -> str:
        if not self.others:
            return super().__str__()
        told = self.mistakes[:_MOST_MISTAKES]
        more = len(self.mistakes) - len(told)
        ends = [f"… and {more} more"] if more else []
        return "\n".join([f"{len(self.mistakes)} mistakes:", *map(str, told), *ends])


class DataError(UsageError):
    """A data set is damaged or does not fit; `where` is a file, row or column."""


class NotComparableError(UsageError):
    """Runs on other data or other examples, or that kept no examples: a difference would say nothing."""


_MOST_LISTED = 40
_NEAREST = 8


class UnknownNameError(UsageError):
    """A name that no catalogue holds; the message lists the choices and the nearest one, or of very many
    choices (the layers of a network) those that are near.
    """

    def __init__(self, kind: str, name: str, choices: Iterable[str], *, where: str | None = None) -> None:
        names = sorted(choices)
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        listed = ", ".join(names) if names else "there are none yet"
        if len(names) > _MOST_LISTED:
            closest = get_close_matches(name, names, n=_NEAREST, cutoff=0.0)
            listed = f"{len(names)}, the nearest of them {', '.join(closest)}"
        shown = name if len(name) <= 80 else f"{name[:80]}…"
        super().__init__(f"unknown {kind} {shown!r}", where=where, remedy=f"{hint}choices: {listed}")


class ArtifactRefusedError(RaiauditError):
    """A model file that could run code when loaded, or does not fit what it is said to be."""

    exit_code = 4


class CapabilityError(RaiauditError):
    """The model under audit cannot be asked what is needed (no gradients, no training data, …)."""


class QueryFailedError(RaiauditError):
    """A black box under audit has no usable answer for some of the rows it was asked about.

    `rows` are their indices in the call, in order; `answers` is what the call would have returned, NaN in
    those rows. So whoever can live with fewer rows need not ask again.
    """

    def __init__(
        self,
        problem: str,
        *,
        rows: tuple[int, ...],
        answers: Any,
        where: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(problem, where=where, remedy=remedy)
        self.rows = rows
        self.answers = answers


class SubjectUnavailableError(RaiauditError):
    """A black box under audit does not answer, or never as it should: no example is to blame."""


class StorageError(RaiauditError):
    """A file of ours is damaged or cannot be written."""
