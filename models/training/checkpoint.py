"""Checkpoints of a training run: one file, written by atomic rename, that a kill -9 cannot tear.

Layout: 32 bytes of sha256 over the rest, then a torch archive read back with `weights_only=True`
(tensors and plain data, no code). A file that is damaged, or that belongs to another run, is reported
as a warning and training starts over.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

__all__ = ["Checkpoint", "read", "write"]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state after `epoch` epochs. `run` names what is trained: data, recipe, seed, rows, code.

    `best` is what was kept of the best epoch, by a step that chooses one: score, epoch, weights, average.
    """

    run: str
    epoch: int
    weights: dict[str, Any]
    average: dict[str, Any]
    best: dict[str, Any]
    optimizer: dict[str, Any]
    step: dict[str, Any]
    seconds: float


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Replace `path` in one move, so that it always holds a whole checkpoint."""
    buffer = io.BytesIO()
    torch.save(asdict(checkpoint), buffer)
    body = buffer.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".partial")
    temporary.write_bytes(hashlib.sha256(body).digest() + body)
    temporary.replace(path)


def read(path: Path, run: str, device: torch.device) -> Checkpoint | None:
    """The checkpoint of `run`, or None (with a warning unless there is no file)."""
    if not path.exists():
        return None
    content = path.read_bytes()
    if hashlib.sha256(content[32:]).digest() != content[:32]:
        warnings.warn(f"{path}: damaged checkpoint, training starts over", stacklevel=2)
        return None
    state = torch.load(io.BytesIO(content[32:]), map_location=device, weights_only=True)
    if state["run"] != run:
        warnings.warn(f"{path}: checkpoint of another training run, training starts over", stacklevel=2)
        return None
    return Checkpoint(**state)
