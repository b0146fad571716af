"""The seal of a run: `manifest.sha256` over every file but itself, and what no longer agrees with it.

`sha256sum --check manifest.sha256` reads it. Its last line, a comment to that program, is the digest of the
lines above: the *seal*. One changed byte anywhere in a run is named by `breaches`. Who can write files can
also write a new manifest; the seal, kept elsewhere (in a signed mail, say), betrays that too.

Links are never followed, names that lead out of the run are refused. Errors: `StorageError` where there is no
manifest, or a file cannot be sealed under its name.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from raiaudit.audit.files import write_atomically
from raiaudit.audit.lock import LOCK
from raiaudit.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["MANIFEST", "WAIVERS", "Breach", "breaches", "read_manifest", "seal_folder", "seal_of"]

MANIFEST = "manifest.sha256"
SIGNATURES = tuple(MANIFEST + ending for ending in (".sig", ".asc", ".minisig"))
"""Where `ssh-keygen`, `gpg` and `minisign` put a signature of the manifest: made after it."""
WAIVERS = "waivers.json"
"""Waivers that changed after the run: what counts, not what was measured."""
_UNSEALED = frozenset({MANIFEST, LOCK, WAIVERS, *SIGNATURES})
_LINE = re.compile(r"([0-9a-f]{64})  ([^\x00-\x1f\x7f\\]+)")
_SEAL = re.compile(r"# seal ([0-9a-f]{64})")
_CHUNK = 1 << 20

Problem = Literal["changed", "missing", "added", "not a file", "unreadable", "manifest"]


@dataclass(frozen=True, slots=True)
class Breach:
    """`file` (its path within the run) is not as it was sealed; `detail` says more, or is empty."""

    file: str
    problem: Problem
    detail: str = ""

    def __str__(self) -> str:
        words = {
            "changed": "was changed after it was sealed",
            "missing": "is missing",
            "added": "was added after the run was sealed",
            "not a file": "is not a regular file",
            "unreadable": "cannot be read",
            "manifest": "was edited or damaged",
        }
        return f"{self.file} {words[self.problem]}" + (f": {self.detail}" if self.detail else "")


@dataclass(frozen=True, slots=True)
class Manifest:
    """`digests` by file, the seal (None without one), and what is wrong with the manifest itself."""

    digests: dict[str, str]
    seal: str | None
    problems: tuple[str, ...]


def seal_folder(folder: Path) -> str:
    """Write the manifest over what is there now and return the seal."""
    files, strange = _inventory(folder)
    if strange:
        raise StorageError("only regular files can be sealed", where=str(folder / strange[0]))
    lines = []
    for name in sorted(files):
        if name in _UNSEALED or name.rpartition("/")[2].startswith(".part-"):
            continue
        line = f"{_sha256(folder / name)}  {name}"
        if _LINE.fullmatch(line) is None:
            raise StorageError(f"a file cannot be sealed under the name {name!r}", where=str(folder))
        lines.append(line)
    body = "".join(f"{line}\n" for line in lines)
    seal = hashlib.sha256(body.encode()).hexdigest()
    write_atomically(folder / MANIFEST, f"{body}# seal {seal}\n")
    return seal


def seal_of(folder: Path) -> str | None:
    """The seal that the manifest ends with, None where it has none. It is not verified."""
    return read_manifest(folder).seal


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a run, line by line; what cannot be believed in it is a problem, not an entry."""
    path = folder / MANIFEST
    if not path.is_file() or path.is_symlink():
        raise StorageError(
            "this run was never sealed", where=str(folder), remedy="finish it: `raiaudit run SPEC`"
        )
    content = path.read_bytes()
    body, _, last = content.removesuffix(b"\n").rpartition(b"\n")
    found = _SEAL.fullmatch(last.decode("ascii", errors="replace"))
    problems = []
    if found is None:
        body, last = content, b""
        problems.append("it does not end with its seal, so it was cut off or written by something else")
    elif hashlib.sha256(body + b"\n" if body else b"").hexdigest() != found[1]:
        problems.append("its lines do not have the digest that is its seal")
    elif not content.endswith(b"\n"):
        problems.append("it is cut off")
    digests: dict[str, str] = {}
    for number, line in enumerate(body.decode(errors="replace").splitlines(), start=1):
        entry = _LINE.fullmatch(line)
        if entry is None or not _stays_inside(entry[2]):
            problems.append(f"line {number} names no file of a run: {line[:100]!r}")
        elif entry[2] in digests or entry[2] in _UNSEALED:
            problems.append(f"line {number} names {entry[2]} where it cannot stand")
        else:
            digests[entry[2]] = entry[1]
    return Manifest(digests, found[1] if found else None, tuple(problems))


def breaches(folder: Path) -> list[Breach]:
    """Everything in a run that is not as it was sealed, the manifest itself first; none if it is intact.

    Files that are there but were not sealed are breaches, but for the lock and signatures of the manifest.
    """
    manifest = read_manifest(folder)
    files, strange = _inventory(folder)
    found = [Breach(MANIFEST, "manifest", problem) for problem in manifest.problems]
    found += [Breach(name, "not a file", "links are not followed") for name in strange]
    sealed_as = {digest: name for name, digest in manifest.digests.items()}
    for name, digest in manifest.digests.items():
        if name in files:
            found += _compared(folder, name, digest, sealed_as)
        elif name not in strange:
            found.append(Breach(name, "missing"))
    added = files - manifest.digests.keys() - _UNSEALED
    return found + [Breach(name, "added") for name in sorted(added)]


def _compared(folder: Path, name: str, digest: str, sealed_as: dict[str, str]) -> Iterable[Breach]:
    try:
        held = _sha256(folder / name)
    except OSError as error:
        return [Breach(name, "unreadable", error.strerror or "")]
    if held == digest:
        return []
    if held in sealed_as:
        return [Breach(name, "changed", f"it holds what was sealed as {sealed_as[held]}")]
    shard = name.removesuffix(".parquet").rpartition(".")[2]
    if name.startswith("ledger/") and held.startswith(shard) and len(shard) == 16:
        return [Breach(name, "changed", "in the manifest, for the rows still agree with their name")]
    return [Breach(name, "changed", f"sha256 {held[:12]}… where {digest[:12]}… was sealed")]


def _stays_inside(name: str) -> bool:
    parts = name.split("/")
    return not any(part in ("", ".", "..") for part in parts) and ":" not in parts[0]


def _inventory(folder: Path) -> tuple[set[str], list[str]]:
    """Regular files, and whatever else is there (links, pipes, devices), by path within the folder."""
    files: set[str] = set()
    strange: list[str] = []
    for entry, name in _walk(folder, ""):
        if stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
            files.add(name)
        else:
            strange.append(name)
    return files, sorted(strange)


def _walk(folder: Path | str, prefix: str) -> Iterator[tuple[os.DirEntry[str], str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, f"{name}/")
            else:
                yield entry, name


def _sha256(path: Path) -> str:
    """Of a regular file; a link that takes its place meanwhile is an `OSError`."""
    digest = hashlib.sha256()
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
