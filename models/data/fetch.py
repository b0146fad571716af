"""Official files: from the local mirror `RAIAUDIT_DATA`, else from the publisher, always checked by sha256.

A mirror holds the files under the same relative paths; what is missing there is downloaded once into
`$RAIAUDIT_HOME/cache/data` (default `./.raiaudit/cache/data`). Bytes are used only after their hash is
right, and reach their final name by an atomic rename, so a broken transfer leaves nothing behind.
Raises `DataError` (not there, not reachable, wrong hash) and `StorageError` (cannot write the cache).
"""

from __future__ import annotations

import hashlib
import os
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from raiaudit.errors import DataError, StorageError

__all__ = ["OfficialFile", "fingerprint", "sha256_file"]

_MAX_MEMBER = 256 * 2**20


def sha256_file(path: Path) -> str:
    """Sha256 (hex) of the bytes of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint(*parts: str) -> str:
    """Sha256 (hex) of a list of strings; no two different lists share their encoding."""
    return hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class OfficialFile:
    """One published file: where a mirror keeps it, its sha256, and where the publisher offers it.

    With `member`, `url` is a zip or tar archive and the file is that member of it; with `encoding`,
    the publisher's text has that encoding and ours (the one hashed) is UTF-8. `url` None: the file is
    in no public place and must be in the mirror.
    """

    path: str
    sha256: str
    url: str | None
    member: str | None = None
    encoding: str | None = None

    def obtain(self) -> Path:
        """The verified local file, downloaded when no mirror and no cache has it."""
        mirror = os.environ.get("RAIAUDIT_DATA")
        if mirror and (found := Path(mirror) / self.path).is_file():
            self._verify(found, sha256_file(found), "replace it with the publisher's file" + self._origin())
            return found
        cached = _cache() / self.path
        if cached.is_file():
            self._verify(cached, sha256_file(cached), "delete it; the next call downloads it again")
            return cached
        if self.url is None:
            raise DataError(
                f"{self.path} is not in the local mirror and no publisher offers it",
                where=mirror or "RAIAUDIT_DATA (not set)",
                remedy=f"set RAIAUDIT_DATA to the folder that holds {self.path}",
            )
        self._download(cached)
        return cached

    def _origin(self) -> str:
        return f" ({self.url})" if self.url else ""

    def _verify(self, path: Path, found: str, remedy: str) -> None:
        if found != self.sha256:
            raise DataError(
                f"sha256 is {found}, expected {self.sha256}: not the official bytes",
                where=str(path),
                remedy=remedy,
            )

    def _download(self, target: Path) -> None:
        assert self.url is not None
        archive = _cache() / "archives" / Path(urlsplit(self.url).path).name
        with _partial(target) as partial:
            if self.member is None:
                _transfer(self.url, partial)
            else:
                if not archive.is_file():
                    with _partial(archive) as whole:
                        _transfer(self.url, whole)
                        whole.replace(archive)
                content = _member(archive, self.member)
                if self.encoding:
                    content = content.decode(self.encoding).encode("utf-8")
                partial.write_bytes(content)
            found = sha256_file(partial)
            if found != self.sha256:
                archive.unlink(missing_ok=True)
            self._verify(
                target,
                found,
                f"the transfer from {self.url} was damaged or the file has changed; nothing was kept: "
                f"try again, or put the official file at $RAIAUDIT_DATA/{self.path}",
            )
            partial.replace(target)


def _cache() -> Path:
    return Path(os.environ.get("RAIAUDIT_HOME") or ".raiaudit") / "cache" / "data"


@contextmanager
def _partial(target: Path) -> Iterator[Path]:
    """A temporary file beside `target`, gone at the end unless it was renamed."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=target.name, suffix=".part", dir=target.parent)
    except OSError as error:
        raise StorageError(f"cannot write the cache: {error.strerror}", where=str(target)) from error
    os.close(handle)
    try:
        yield Path(name)
    except OSError as error:
        raise StorageError(f"cannot write the cache: {error.strerror}", where=str(target)) from error
    finally:
        Path(name).unlink(missing_ok=True)


class _ProgressLine:
    """The progress interface of pooch, as one plain line on stderr."""

    total = 0

    def __init__(self, url: str) -> None:
        self._url = url
        self._done = 0
        self._shown = -1

    def update(self, count: int) -> None:
        self._done += count
        percent = 100 * self._done // self.total if self.total else 0
        if percent // 10 > self._shown // 10 or self._shown < 0:
            self._shown = percent
            sys.stderr.write(f"\rdownloading {self._url} … {percent} %")
            sys.stderr.flush()

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        sys.stderr.write("\n")


def _transfer(url: str, target: Path) -> None:
    import pooch  # pulls in requests: 0.1 s that only a download pays
    import requests

    try:
        pooch.HTTPDownloader(progressbar=_ProgressLine(url))(url, str(target), None)
    except requests.RequestException as error:
        raise DataError(
            f"the download failed: {error}",
            where=url,
            remedy="check the connection, or set RAIAUDIT_DATA to a folder that holds the official files",
        ) from error


def _member(archive: Path, name: str) -> bytes:
    """The bytes of one regular file in a zip or tar, read without unpacking anything to disk."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as bundle:
                size = bundle.getinfo(name).file_size
                content = bundle.read(name) if size <= _MAX_MEMBER else None
        else:
            with tarfile.open(archive) as tar:
                entry = tar.getmember(name)
                stream = tar.extractfile(entry) if entry.isreg() and entry.size <= _MAX_MEMBER else None
                content = stream.read() if stream else None
    except (KeyError, OSError, EOFError, zipfile.BadZipFile, tarfile.TarError) as error:
        archive.unlink(missing_ok=True)
        raise DataError(
            f"no member {name!r} can be read from the archive ({error})",
            where=str(archive),
            remedy="the damaged archive was deleted; try again",
        ) from error
    if content is None:
        raise DataError(f"member {name!r} is not a regular file of at most 256 MiB", where=str(archive))
    return content
