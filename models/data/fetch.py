"""Hashes of files and of data sets."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["fingerprint", "sha256_file"]


def sha256_file(path: Path) -> str:
    """Sha256 (hex) of the bytes of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint(*parts: str) -> str:
    """Sha256 (hex) of a list of strings; no two different lists share their encoding."""
    return hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()
