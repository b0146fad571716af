"""One writer per run directory, and a way to see that a writer died.

The lock is advisory and belongs to the process: the kernel drops it on kill -9, so a header that
says "running" while nobody holds the lock means the run was interrupted.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from raiaudit.errors import StorageError

try:
    import fcntl
except ImportError:  # Windows: no advisory locks, so neither protection nor detection
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["LOCK", "is_held", "run_lock"]

LOCK = ".lock"


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a run directory. Raises `StorageError` while another process writes there."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise StorageError(
                    "another process is writing this run",
                    where=str(folder),
                    remedy="wait for it, or stop it; then run the same command again",
                ) from None
        yield


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
