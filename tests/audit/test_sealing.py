"""Tampering with a sealed run, byte by byte and file by file: whatever was touched is named."""

from __future__ import annotations

import hashlib
import os
import random
import time
from pathlib import Path

import pytest

from raiaudit.audit.sealing import MANIFEST, Breach, breaches, read_manifest, seal_folder, seal_of
from raiaudit.errors import StorageError

FILES = {
    "spec.lock.yaml": b"apiVersion: raiaudit/v1\n",
    "header.json": b'{"id": "r"}\n',
    "journal.jsonl": b'{"event": "run_started"}\n{"event": "run_finished"}\n',
    "results.json": b'{"verdict": "pass"}\n',
    "report.pdf": b"%PDF-1.7\n%%EOF\n",
    "junit.xml": b"<testsuites/>\n",
    "evidence/performance.accuracy/by class.parquet": b"PAR1 table PAR1",
}
ROWS = b"PAR1 rows PAR1"
SHARD = f"ledger/performance.accuracy/rows-0.{'0' * 16}.{hashlib.sha256(ROWS).hexdigest()[:16]}.parquet"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "r"
    for name, content in {**FILES, SHARD: ROWS}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / ".lock").touch()
    seal_folder(folder)
    return folder


def named(folder: Path) -> dict[str, str]:
    return {breach.file: breach.problem for breach in breaches(folder)}


def reseal_line(folder: Path, old: str, new: str) -> None:
    """What a forger who knows the format does: the manifest edited and its seal recomputed."""
    body = (folder / MANIFEST).read_text().replace(old, new).rpartition("# seal")[0]
    seal = hashlib.sha256(body.encode()).hexdigest()
    (folder / MANIFEST).write_text(f"{body}# seal {seal}\n")


def test_a_run_left_alone_is_intact_and_sealing_it_again_gives_the_same_seal(run: Path) -> None:
    assert breaches(run) == []
    seal = seal_of(run)
    assert seal_folder(run) == seal
    assert set(read_manifest(run).digests) == {*FILES, SHARD}


def test_any_flipped_bit_is_named_by_its_file(run: Path) -> None:
    """200 flips, and each byte of the manifest's last lines: the first named is the file that was flipped."""
    rng = random.Random(0)
    names = [*FILES, SHARD, MANIFEST]
    manifest = (run / MANIFEST).read_bytes()
    flips = [(name, rng.randrange((run / name).stat().st_size)) for name in rng.choices(names, k=200)]
    flips += [(MANIFEST, at) for at in range(len(manifest) - 160, len(manifest))]
    for name, at in flips:
        content = bytearray((run / name).read_bytes())
        content[at] ^= 1 << rng.randrange(8)
        whole = (run / name).read_bytes()
        (run / name).write_bytes(content)
        found = breaches(run)
        assert found, (name, at)
        assert found[0].file == name
        if name != MANIFEST:
            assert [(breach.file, breach.problem) for breach in found] == [(name, "changed")]
        (run / name).write_bytes(whole)
    assert breaches(run) == []


@pytest.mark.parametrize("name", [*FILES, SHARD])
def test_truncated_emptied_and_deleted_files_are_named(run: Path, name: str) -> None:
    content = (run / name).read_bytes()
    for shorter in (content[:-1], b""):
        (run / name).write_bytes(shorter)
        assert named(run) == {name: "changed"}
    (run / name).unlink()
    assert named(run) == {name: "missing"}


@pytest.mark.parametrize("size", [0, 1, 100, -1, -70])
def test_a_manifest_cut_anywhere_is_named(run: Path, size: int) -> None:
    content = (run / MANIFEST).read_bytes()
    (run / MANIFEST).write_bytes(content[:size])
    assert breaches(run)[0] == Breach(MANIFEST, "manifest", breaches(run)[0].detail)
    assert breaches(run)[0].detail


def test_lines_taken_out_of_the_manifest_are_named_though_the_file_is_what_it_was(run: Path) -> None:
    lines = (run / MANIFEST).read_text().splitlines(keepends=True)
    (run / MANIFEST).write_text("".join(line for line in lines if "journal" not in line))
    assert named(run) == {MANIFEST: "manifest", "journal.jsonl": "added"}


@pytest.mark.parametrize(
    "name", ["results.sarif", "ledger/x/forged.parquet", "evidence/x.parquet", ".hidden"]
)
def test_added_files_are_named_but_not_the_lock_nor_signatures(run: Path, name: str) -> None:
    (run / "manifest.sha256.sig").write_text("-----BEGIN SSH SIGNATURE-----")
    assert breaches(run) == []
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).write_text("what nobody sealed")
    assert named(run) == {name: "added"}


def test_swapped_files_are_named_with_what_they_hold(run: Path) -> None:
    one, other = run / "results.json", run / "header.json"
    contents = one.read_bytes(), other.read_bytes()
    one.write_bytes(contents[1])
    other.write_bytes(contents[0])
    assert [str(breach) for breach in breaches(run)] == [
        "header.json was changed after it was sealed: it holds what was sealed as results.json",
        "results.json was changed after it was sealed: it holds what was sealed as header.json",
    ]


def test_a_link_in_place_of_a_file_is_refused_even_to_the_same_bytes(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere.json"
    copy.write_bytes(FILES["results.json"])
    (run / "results.json").unlink()
    (run / "results.json").symlink_to(copy)
    assert named(run) == {"results.json": "not a file"}


def test_a_linked_folder_is_not_walked_into(run: Path, tmp_path: Path) -> None:
    moved = tmp_path / "evidence"
    (run / "evidence").rename(moved)
    (run / "evidence").symlink_to(moved, target_is_directory=True)
    inside = "evidence/performance.accuracy/by class.parquet"
    assert named(run) == {"evidence": "not a file", inside: "missing"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_named_and_not_waited_for(run: Path) -> None:
    os.mkfifo(run / "pipe")
    assert named(run) == {"pipe": "not a file"}
    with pytest.raises(StorageError, match="only regular files"):
        seal_folder(run)


def test_a_linked_manifest_is_no_seal(run: Path, tmp_path: Path) -> None:
    (run / MANIFEST).rename(tmp_path / "m")
    (run / MANIFEST).symlink_to(tmp_path / "m")
    with pytest.raises(StorageError, match="never sealed"):
        breaches(run)


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "ledger/../../secret", "./results.json", "a//b", "C:/x", "a\\b", ""],
)
def test_lines_that_lead_out_of_the_run_are_refused_and_never_opened(
    run: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    plain = os.open

    def watched(path: str | Path, *rest: int) -> int:
        opened.append(os.path.normpath(path))
        return plain(path, *rest)

    reseal_line(run, "# seal", f"{'0' * 64}  {name}\n# seal")
    monkeypatch.setattr(os, "open", watched)
    found = breaches(run)
    assert [(breach.file, breach.problem) for breach in found] == [(MANIFEST, "manifest")]
    assert "names no file of a run" in found[0].detail
    assert all(path.startswith(str(run)) for path in opened)
    assert len(opened) == len(FILES) + 1


def test_a_file_named_twice_or_the_manifest_itself_is_refused(run: Path) -> None:
    for name in ("results.json", MANIFEST, ".lock"):
        reseal_line(run, "# seal", f"{hashlib.sha256(b'forged').hexdigest()}  {name}\n# seal")
    assert [breach.problem for breach in breaches(run)] == ["manifest"] * 3


def test_a_forger_who_makes_the_manifest_anew_is_betrayed_by_the_seal_alone(run: Path) -> None:
    noted = seal_of(run)
    (run / "results.json").write_bytes(b'{"verdict": "fail"}\n')
    assert seal_folder(run) != noted
    assert breaches(run) == []


def test_an_edited_line_of_a_shard_is_told_from_an_edited_shard(run: Path) -> None:
    right = hashlib.sha256(ROWS).hexdigest()
    reseal_line(run, right, right[::-1])
    assert [str(breach) for breach in breaches(run)] == [
        f"{SHARD} was changed after it was sealed: in the manifest, for the rows still agree with their name"
    ]


def test_names_that_no_manifest_can_hold_are_refused_when_sealing(run: Path) -> None:
    (run / "evidence" / "two\nlines").write_text("x")
    with pytest.raises(StorageError, match="cannot be sealed"):
        seal_folder(run)


def test_a_manifest_of_a_hundred_thousand_lines(run: Path) -> None:
    lines = "".join(f"{i:064x}  evidence/table-{i}.parquet\n" for i in range(100_000))
    reseal_line(run, "# seal", f"{lines}# seal")
    started = time.process_time()
    found = breaches(run)
    assert time.process_time() - started < 5
    assert len(found) == 100_000
    assert {breach.problem for breach in found} == {"missing"}
