"""Executors: who runs the tasks. Here, this process, one after the other.

An executor takes plain tasks and yields outcomes as they finish, in any order; a processes or a
cluster executor can follow without touching a check.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import polars as pl

    from raiaudit.audit.check import Task

__all__ = ["Executor", "LocalExecutor", "Outcome"]

Work = Callable[["Task"], "pl.DataFrame"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Rows of a finished task, or the exception that ended it; wall-clock seconds either way."""

    task: Task
    frame: pl.DataFrame | None
    error: Exception | None
    seconds: float


class Executor(Protocol):
    """Runs tasks and yields their outcomes."""

    def run(self, tasks: Iterable[Task], work: Work) -> Iterator[Outcome]:
        """One outcome a task; an exception of `work` is an outcome, not a crash."""
        ...


class LocalExecutor:
    """In this process, in order."""

    def run(self, tasks: Iterable[Task], work: Work) -> Iterator[Outcome]:
        """See `Executor.run`."""
        for task in tasks:
            start = time.perf_counter()
            try:
                frame = work(task)
            except Exception as error:
                yield Outcome(task, None, error, time.perf_counter() - start)
            else:
                yield Outcome(task, frame, None, time.perf_counter() - start)
