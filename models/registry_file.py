"""The registry's SQLite file: its address, and that it is there whole or not at all.

MLflow makes its tables by some fifty migrations that take seconds; a process that is killed among them leaves
a file that no later one can open, and two that begin at once get into each other's way. So the tables are
made in a folder of one's own, and the finished file is put into its place at once, unless another was there.
Errors: `OSError` where the folder cannot be written.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path

__all__ = ["ensure_registry_file", "registry_address"]


@cache
def registry_address(path: Path) -> str:
    """The address by which SQLAlchemy and MLflow find the file.

    They read `%` and `?` each in a way of its own, so a path that has them gets another name: a link to its
    folder, which lasts as long as this process.
    """
    if re.search("[%?#]", str(path)):
        folder = Path(tempfile.mkdtemp(prefix="raiaudit-home-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        (folder / "home").symlink_to(path.parent, target_is_directory=True)
        path = folder / "home" / path.name
    return f"sqlite:///{path}"


def ensure_registry_file(path: Path) -> None:
    """An MLflow data base at `path`, made if nothing is there. Its folder has to exist."""
    if path.exists():
        return
    from mlflow.tracking import MlflowClient

    with tempfile.TemporaryDirectory(prefix="raiaudit-registry-") as scratch:
        made = Path(scratch) / path.name
        address = f"sqlite:///{made}"
        MlflowClient(tracking_uri=address, registry_uri=address).search_registered_models(max_results=1)
        _put(made, path)


def _put(made: Path, path: Path) -> None:
    """A copy of `made` at `path`, in one step; what is there by now stays."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as target, made.open("rb") as source:
            shutil.copyfileobj(source, target)
            target.flush()
            os.fsync(target.fileno())
        beside.chmod(0o644)
        try:
            path.hardlink_to(beside)
        except FileExistsError:
            pass  # another process was first, and its registry is the one
        except OSError:  # a file system without links: the step that is left replaces
            if not path.exists():
                beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
