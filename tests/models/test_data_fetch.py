"""Official files: mirror, cache and a real download from a server on this machine, whole and broken."""

import gzip
import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from raiaudit.errors import DataError, StorageError
from raiaudit.models.data.fetch import OfficialFile, fingerprint

CONTENT = gzip.compress(bytes(range(256)) * 400)
TEXT = "una película — “buena”\n"


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:
        bundle.writestr("set/text.tsv", TEXT.encode("cp1252"))
    return buffer.getvalue()


class _Handler(BaseHTTPRequestHandler):
    requests: list[str]

    def do_GET(self) -> None:
        self.requests.append(self.path)
        body = {"/file.gz": CONTENT, "/cut.gz": CONTENT, "/set.zip": archive()}.get(self.path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path == "/cut.gz" else body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        pass


@pytest.fixture
def server() -> Iterator[str]:
    _Handler.requests = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}"
        httpd.shutdown()
        thread.join()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("RAIAUDIT_DATA", raising=False)
    monkeypatch.setenv("RAIAUDIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "home"


def official(server: str, page: str = "file.gz") -> OfficialFile:
    return OfficialFile("toy/file.gz", hashlib.sha256(CONTENT).hexdigest(), f"{server}/{page}")


def leftovers(home: Path) -> list[str]:
    return [path.name for path in home.rglob("*") if path.is_file()]


def test_a_download_is_byte_exact_and_happens_once(
    server: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = official(server)
    path = file.obtain()
    assert path == home / "cache" / "data" / "toy" / "file.gz"
    assert path.read_bytes() == CONTENT
    assert file.obtain() == path
    assert _Handler.requests == ["/file.gz"]
    assert "downloading http://127.0.0.1" in capsys.readouterr().err


def test_a_wrong_hash_names_both_and_keeps_nothing(server: str, home: Path) -> None:
    with pytest.raises(DataError) as caught:
        replace(official(server), sha256="0" * 64).obtain()
    message = str(caught.value)
    for part in ("file.gz", "0" * 64, hashlib.sha256(CONTENT).hexdigest(), "RAIAUDIT_DATA"):
        assert part in message
    assert caught.value.exit_code == 2
    assert leftovers(home) == []


def test_a_truncated_transfer_keeps_nothing(server: str, home: Path) -> None:
    with pytest.raises(DataError, match=r"download failed|damaged"):
        official(server, "cut.gz").obtain()
    assert leftovers(home) == []


def test_a_page_that_is_not_there_is_a_clear_error(server: str, home: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.gz: the download failed: 404"):
        official(server, "nowhere.gz").obtain()


def test_the_mirror_comes_first_and_is_checked(
    server: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored = tmp_path / "mirror" / "toy" / "file.gz"
    mirrored.parent.mkdir(parents=True)
    mirrored.write_bytes(CONTENT)
    monkeypatch.setenv("RAIAUDIT_DATA", str(tmp_path / "mirror"))
    assert official(server).obtain() == mirrored
    mirrored.write_bytes(CONTENT[:-1])
    with pytest.raises(DataError, match="not the official bytes") as caught:
        official(server).obtain()
    assert caught.value.where == str(mirrored)
    assert _Handler.requests == []


def test_a_damaged_cache_says_to_delete_it(server: str, home: Path) -> None:
    official(server).obtain().write_bytes(b"bit rot")
    with pytest.raises(DataError, match="delete it"):
        official(server).obtain()


def test_a_cache_that_cannot_be_written_is_named(
    server: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="cannot write the cache: Not a directory"):
        official(server).obtain()
    home.unlink()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageError, match="No space left on device"):
        official(server).obtain()
    assert leftovers(home) == []


def test_a_member_is_taken_out_of_its_archive_and_made_utf8(server: str, home: Path) -> None:
    file = OfficialFile(
        "toy/text.tsv",
        hashlib.sha256(TEXT.encode()).hexdigest(),
        f"{server}/set.zip",
        member="set/text.tsv",
        encoding="cp1252",
    )
    assert file.obtain().read_text("utf-8") == TEXT
    with pytest.raises(DataError, match=r"no member 'set/other\.tsv'"):
        replace(file, path="toy/other.tsv", member="set/other.tsv").obtain()


def test_a_file_no_publisher_offers_says_where_to_put_it(home: Path) -> None:
    with pytest.raises(DataError, match="set RAIAUDIT_DATA to the folder that holds toy/none"):
        OfficialFile("toy/none", "0" * 64, None).obtain()


def test_fingerprints_of_different_lists_differ() -> None:
    assert (
        len({fingerprint("ab", "c"), fingerprint("a", "bc"), fingerprint("abc"), fingerprint("c", "ab")}) == 4
    )
