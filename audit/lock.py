"""One writer per run directory, a way to see that a writer died, and turns at what several audits share.

The lock is advisory and belongs to the process: the kernel drops it on kill -9, so a header that
says "running" while nobody holds the lock means the run was interrupted.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from raiaudit.audit.files import storage_error
from raiaudit.errors import StorageError

try:
    import fcntl
except ImportError:  # Windows: no advisory locks, so neither protection nor detection
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import TextIOWrapper
    from pathlib import Path

__all__ = ["LOCK", "is_held", "run_lock", "turn"]

LOCK = ".lock"
_TRIES = 5
_AGAIN = 0.2  # seconds


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a run directory. Raises `StorageError` while another process writes there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        opened = (folder / LOCK).open("w")
    except OSError as error:
        raise storage_error(error, folder) from error
    with opened as file:
        if fcntl is not None and not any(_taken(file, attempt) for attempt in range(_TRIES)):
            raise StorageError(
                "another process is writing this run",
                where=str(folder),
                remedy="wait for it, or stop it; then run the same command again",
            )
        yield


def _taken(file: TextIOWrapper, attempt: int) -> bool:
    """Try once; again after a moment, for `is_held` in a dashboard holds the lock while it looks."""
    time.sleep(0.02 * attempt)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def is_held(folder: Path) -> bool:
    """Whether some process is writing this run directory now."""
    path = folder / LOCK
    if not path.is_file():
        return False
    if fcntl is None:
        return True
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


@contextmanager
def turn(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file `path`, which goes with the lock; `waiting` is told once if another process has it.

    For work that two audits would do alike: whoever comes second waits, and finds it done. Raises
    `StorageError` where the folder cannot be written.
    """
    told = False
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("w")
        except OSError as error:
            raise storage_error(error, path) from error
        with file:
            if _has_turn(file, path):
                try:
                    yield
                finally:
                    path.unlink(missing_ok=True)
                return
        if not told:
            waiting()
            told = True
        time.sleep(_AGAIN)


def _has_turn(file: TextIOWrapper, path: Path) -> bool:
    """Whether the lock is ours, and the file still the one that others would lock."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks protects nobody
        return True
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False
