"""What happened, in order: one JSON object a line, appended to the run's journal and shown to listeners.

Raises `StorageError` when a line cannot be written.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from raiaudit.audit.files import storage_error

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Event", "Listener", "journalled", "now"]

Event = dict[str, Any]
Listener = Callable[[Event], None]


def now() -> str:
    """The time, ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def journalled(path: Path, listener: Listener) -> Listener:
    """A listener that appends each event to `path` (one write a line) and passes it on."""
    if path.is_file() and path.read_bytes()[-1:] not in (b"", b"\n"):
        _append(path, "\n")  # a crash cut the last line off: do not lose the next one too

    def listen(event: Event) -> None:
        if event["event"] != "training":  # one a training epoch: for the eye, not for the record
            _append(path, json.dumps({"time": now(), **event}) + "\n")
        listener(event)

    return listen


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise storage_error(error, path) from error
