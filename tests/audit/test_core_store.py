"""The run store: finding runs, seeing that a writer died, and seals."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from raiaudit.audit.lock import is_held, run_lock
from raiaudit.audit.results import RunHeader
from raiaudit.audit.store import Home, Run
from raiaudit.errors import StorageError, UnknownNameError


def make(
    home: Home, name: str, *, started: str = "2026-01-01", status: Any = "finished", suite: str = "s"
) -> Run:
    run = Run(home.runs_folder / name)
    run.write_header(
        RunHeader(id=name, suite=suite, model="m", data="d", modality="image", status=status, started=started)
    )
    return run


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


# Finding


def test_latest_exact_and_prefix(home: Home) -> None:
    make(home, "digits-cnn-1", started="2026-01-02")
    make(home, "digits-cnn-12", started="2026-01-01")
    make(home, "other-1", started="2026-01-03")
    assert [run.id for run in home.runs()] == ["other-1", "digits-cnn-1", "digits-cnn-12"]
    assert home.run("latest").id == "other-1"
    assert home.run("digits-cnn-1").id == "digits-cnn-1"  # exact wins over being a prefix of another
    assert home.run("oth").id == "other-1"
    for ambiguous in ("digits", "nothing", ""):
        with pytest.raises(UnknownNameError, match="unknown run") as caught:
            home.run(ambiguous)
        assert "digits-cnn-12" in str(caught.value)
        assert caught.value.exit_code == 2


def test_an_empty_home_has_no_latest(home: Home) -> None:
    assert home.runs() == []
    with pytest.raises(UnknownNameError, match="latest"):
        home.run("latest")


def test_a_suite_is_what_one_spec_started(home: Home) -> None:
    for i, suite in enumerate("aabab"):
        make(home, f"run-{i}", started=f"2026-01-0{i + 1}", suite=suite)
    assert [run.id for run in home.suite("latest")] == ["run-2", "run-4"]
    assert [run.id for run in home.suite("run-3")] == ["run-0", "run-1", "run-3"]


def test_the_default_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAIAUDIT_HOME", raising=False)
    assert Home.at().root == tmp_path / ".raiaudit"
    monkeypatch.setenv("RAIAUDIT_HOME", str(tmp_path / "elsewhere"))
    assert Home.at().root == tmp_path / "elsewhere"
    assert Home.at("given").root == tmp_path / "given"
    assert not (tmp_path / ".raiaudit").exists()  # looking makes nothing


# Damage


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"id": 3}', b"null"])
def test_a_damaged_header_is_named_and_hides_no_other_run(home: Home, content: bytes) -> None:
    make(home, "good", started="2026-01-01")
    bad = make(home, "bad", started="2026-01-02")
    (bad.folder / "header.json").write_bytes(content)
    assert home.run("latest").id == "good"
    assert home.run("go").id == "good"
    with pytest.raises(StorageError, match="damaged") as caught:
        assert home.run("bad").header
    assert str(bad.folder / "header.json") in str(caught.value)
    assert "run the same spec again" in str(caught.value)


def test_the_latest_of_damaged_runs_says_what_is_wrong_with_it(home: Home) -> None:
    (make(home, "bad").folder / "header.json").write_bytes(b"{")
    with pytest.raises(StorageError, match="damaged"):
        home.run("latest")


def test_a_locked_spec_that_cannot_be_read_is_named(home: Home) -> None:
    run = make(home, "r")
    (run.folder / "spec.lock.yaml").write_bytes(b"\xff: [")
    with pytest.raises(StorageError, match=r"spec\.lock\.yaml") as caught:
        assert run.spec_lock
    assert "run the same spec again" in str(caught.value)


def test_results_that_are_missing_or_damaged_are_named(home: Home) -> None:
    run = make(home, "r")
    assert not run.finished
    with pytest.raises(StorageError, match="has not finished"):
        assert run.results
    (run.folder / "results.json").write_text('{"schema_version": 1, "run": "r"')
    with pytest.raises(StorageError, match="damaged") as caught:
        assert run.results
    assert "results.json" in str(caught.value)


def test_a_journal_is_read_up_to_a_torn_line(home: Home) -> None:
    run = make(home, "r")
    assert list(run.journal()) == []
    (run.folder / "journal.jsonl").write_text('{"event": "a"}\n{"event": "b"}\n{"eve')
    assert [event["event"] for event in run.journal()] == ["a", "b"]


@pytest.mark.parametrize(
    "line", [b"\xff\xfe", b"5", b"[1]", b'"text"', b"{}", b"[" * 100_000, b'{"event": 1}']
)
def test_a_journal_is_read_around_a_line_that_is_no_event(home: Home, line: bytes) -> None:
    run = make(home, "r")
    (run.folder / "journal.jsonl").write_bytes(b'{"event": "a"}\n' + line + b'\n{"event": "b"}\n')
    assert [event["event"] for event in run.journal()] == ["a", "b"]


# The lock

HOLDER = """
import sys, time
from pathlib import Path
from raiaudit.audit.lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def status_of(run: Run) -> str:
    return run.header.status


def test_a_killed_writer_leaves_an_interrupted_run(home: Home) -> None:
    run = make(home, "r", status="running")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run.folder)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        assert is_held(run.folder)
        assert status_of(run) == "running"
        with pytest.raises(StorageError, match="another process") as caught, run_lock(run.folder):
            pass
        assert str(run.folder) in str(caught.value)
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    assert not is_held(run.folder)
    assert status_of(run) == "interrupted"
    assert run.header.error == "the process ended before the audit did"
    assert json.loads((run.folder / "header.json").read_text())["status"] == "running"  # readers never write
    with run_lock(run.folder):
        assert status_of(run) == "running"


def test_looking_at_a_lock_does_not_take_it(home: Home) -> None:
    run = make(home, "r", status="running")
    assert not is_held(run.folder)
    assert not (run.folder / ".lock").exists()
    with run_lock(run.folder):
        assert is_held(run.folder)
        assert is_held(run.folder)
    assert not is_held(run.folder)


def test_a_run_folder_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where a folder should be")
    with pytest.raises(StorageError, match="cannot be written"), run_lock(tmp_path / "runs" / "r"):
        pass


# Seals


@pytest.fixture
def sealed(home: Home) -> Run:
    run = make(home, "r")
    (run.folder / "results.json").write_text("{}")
    (run.folder / "report.pdf").write_bytes(b"%PDF-1.7")
    (run.folder / "ledger" / "c").mkdir(parents=True)
    (run.folder / "ledger" / "c" / "t.k.s.parquet").write_bytes(b"rows")
    with run_lock(run.folder):
        run.seal()
    return run


def test_an_untouched_run_is_intact(sealed: Run) -> None:
    assert sealed.broken_seals() == []
    assert sealed.sealed_digest("report.pdf") == hashlib.sha256(b"%PDF-1.7").hexdigest()
    assert sealed.sealed_digest("other.pdf") is None


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs coreutils")
def test_sha256sum_reads_the_manifest(sealed: Run) -> None:
    command = ["sha256sum", "--check", "--strict", "manifest.sha256"]
    assert subprocess.run(command, cwd=sealed.folder, capture_output=True, check=False).returncode == 0
    (sealed.folder / "report.pdf").write_bytes(b"%PDF-1.6")
    checked = subprocess.run(command, cwd=sealed.folder, capture_output=True, text=True, check=False)
    assert checked.returncode != 0
    assert "report.pdf: FAILED" in checked.stdout
    assert sealed.broken_seals() == ["report.pdf"]


@pytest.mark.parametrize("name", ["results.json", "report.pdf", "header.json", "ledger/c/t.k.s.parquet"])
def test_every_changed_or_missing_file_is_named(sealed: Run, name: str) -> None:
    path = sealed.folder / name
    content = path.read_bytes()
    path.write_bytes(content + b" ")
    assert sealed.broken_seals() == [name]
    path.write_bytes(content)
    assert sealed.broken_seals() == []
    path.unlink()
    assert sealed.broken_seals() == [name]


def test_rows_and_evidence_added_after_the_seal_are_named(sealed: Run) -> None:
    (sealed.folder / "ledger" / "c" / "forged.k.s.parquet").write_bytes(b"rows")
    (sealed.folder / "evidence").mkdir()
    (sealed.folder / "evidence" / "curve.parquet").write_bytes(b"rows")
    (sealed.folder / "note-to-self.txt").write_text("no part of the audit")
    assert sealed.broken_seals() == ["evidence/curve.parquet", "ledger/c/forged.k.s.parquet"]


def test_no_manifest_and_a_damaged_one(sealed: Run) -> None:
    (sealed.folder / "manifest.sha256").write_bytes(b"\xff\xfe\x00 not a manifest")
    assert sealed.broken_seals() != []
    (sealed.folder / "manifest.sha256").unlink()
    with pytest.raises(StorageError, match="never sealed"):
        sealed.broken_seals()
