"""Files that are either whole or absent: write beside the target, flush to disk, rename."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from raiaudit.errors import StorageError

__all__ = ["storage_error", "write_atomically"]


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write `content` to `path` by atomic rename; a failure leaves the old file and no debris.

    Raises `StorageError` when the disk is full or the folder cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".part-")
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise storage_error(error, path) from error


def storage_error(error: OSError, path: Path) -> StorageError:
    """What a failed write to `path` means, and what to do about it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "free some space and run the same command again: finished tasks are kept"
        return StorageError("the disk is full", where=str(path), remedy=remedy)
    if error.errno in (errno.EISDIR, errno.ENOTDIR, errno.EEXIST):
        remedy = "something else stands there: move it away, and run the same command again"
        return StorageError(f"cannot be written ({error.strerror})", where=str(path), remedy=remedy)
    remedy = "check the folder's permissions, or choose another with --home"
    return StorageError(f"cannot be written ({error.strerror})", where=str(path), remedy=remedy)
