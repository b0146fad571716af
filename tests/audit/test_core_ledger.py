"""The ledger: rows that join, files that are whole or absent, and a way to see that one is torn."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from raiaudit.audit.check import Task
from raiaudit.audit.files import write_atomically
from raiaudit.audit.journal import Event, journalled
from raiaudit.audit.ledger import DamagedShardError, Ledger, Shard, parquet_bytes
from raiaudit.errors import StorageError

KEY, OTHER_KEY = "a" * 64, "b" * 64


def frame(ids: str, **columns: list[Any]) -> pl.DataFrame:
    return pl.DataFrame({"example_id": list(ids), **columns})


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


# Joining


def test_shards_stack_and_checks_join_on_the_example(ledger: Ledger) -> None:
    ledger.append(Task("p.accuracy", "test-0"), KEY, frame("ab", correct=[True, False]))
    ledger.append(Task("p.accuracy", "test-1"), KEY, frame("cd", correct=[True, True]))
    ledger.append(Task("r.evasion", "test-0"), KEY, frame("db", broken=[True, False]))
    expected = frame("abcd", correct=[True, False, True, True], broken=[None, False, None, True])
    assert_frame_equal(ledger.scan("correct", "broken").collect(), expected)
    assert_frame_equal(ledger.scan("broken").collect(), frame("bd", broken=[False, True]))
    assert ledger.columns() == {"correct", "broken"}


def test_columns_of_one_check_may_lie_in_different_shards(ledger: Ledger) -> None:
    ledger.append(Task("r.evasion", "small-0"), KEY, frame("ab", small=[1, 2]))
    ledger.append(Task("r.evasion", "small-1"), KEY, frame("c", small=[3]))
    ledger.append(Task("r.evasion", "large-0"), KEY, frame("abc", large=[4, 5, 6]))
    assert_frame_equal(
        ledger.scan("large", "small").collect(), frame("abc", large=[4, 5, 6], small=[1, 2, 3])
    )


def test_a_column_that_no_check_wrote_is_an_error_not_a_null(ledger: Ledger) -> None:
    ledger.append(Task("p.accuracy", "test-0"), KEY, frame("a", correct=[True]))
    with pytest.raises(StorageError, match="no column broken"):
        ledger.scan("correct", "broken")


@pytest.mark.parametrize(
    "bad",
    [
        frame("aa", x=[1, 2]),
        pl.DataFrame({"example_id": ["a", None], "x": [1, 2]}),
        pl.DataFrame({"x": [1]}),
        pl.DataFrame({"example_id": [1, 2], "x": [1, 2]}),  # would not join with anyone's strings
    ],
)
def test_rows_that_could_not_be_joined_are_refused(ledger: Ledger, bad: pl.DataFrame) -> None:
    with pytest.raises(ValueError, match="example"):
        ledger.append(Task("p.accuracy", "test-0"), KEY, bad)
    assert list(ledger.shards()) == []


# Recognising finished work


def test_a_task_is_found_by_its_key_alone(ledger: Ledger) -> None:
    task = Task("r.evasion", "linf-0.031-pgd-0000")  # the name has dots of its own
    shard = ledger.append(task, KEY, frame("a", x=[1]))
    assert ledger.find(task, KEY) == shard
    assert ledger.find(task, OTHER_KEY) is None
    assert ledger.find(Task("r.evasion", "linf-0.031-pgd-0001"), KEY) is None
    assert ledger.find(Task("p.accuracy", task.name), KEY) is None
    assert ledger.find(Task("r.evasion", "linf-0.*"), KEY) is None
    assert list(ledger.shards()) == [shard]


def test_a_key_changes_with_everything_that_decides_the_rows() -> None:
    base: dict[str, Any] = {"model_digest": "m", "data_digest": "d", "seed": 0}
    task = Task("c", "t", {"start": 0}, {"eps": 0.1}, 1)
    keys = [
        task.key(**base),
        task.key(**{**base, "model_digest": "n"}),
        task.key(**{**base, "data_digest": "e"}),
        task.key(**{**base, "seed": 1}),
        Task("b", "t", {"start": 0}, {"eps": 0.1}, 1).key(**base),
        Task("c", "u", {"start": 0}, {"eps": 0.1}, 1).key(**base),
        Task("c", "t", {"start": 1}, {"eps": 0.1}, 1).key(**base),
        Task("c", "t", {"start": 0}, {"eps": 0.2}, 1).key(**base),
        Task("c", "t", {"start": 0}, {"eps": 0.1}, 2).key(**base),
    ]
    assert len(set(keys)) == len(keys)
    assert Task("c", "t", {"start": 0}, {"eps": 0.1}, 1).key(**base) == keys[0]


def test_shards_of_another_model_are_named_before_they_stack(ledger: Ledger) -> None:
    """A model trained again after its registry was lost has other weights: its rows must not double."""
    task = Task("p.accuracy", "test-0")
    stale = ledger.append(task, OTHER_KEY, frame("ab", correct=[False, False]))
    ledger.append(task, KEY, frame("ab", correct=[True, True]))
    forged = ledger.append(Task("p.accuracy", "extra"), KEY, frame("z", correct=[True]))
    assert ledger.unwanted({("p.accuracy", "test-0"): KEY}) == [forged, stale]


def test_equal_rows_give_equal_bytes(ledger: Ledger) -> None:
    rows = frame("abc", x=[0.1, 0.2, None], name=["é", "", None])
    assert parquet_bytes(rows) == parquet_bytes(rows.clone())
    first = ledger.append(Task("c", "t"), KEY, rows)
    assert ledger.append(Task("c", "t"), KEY, rows).path == first.path


# Damage


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip_one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def turn_into_a_link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to(path.with_name("moved"))


def turn_into_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "something").touch()


@pytest.mark.parametrize("damage", [truncate, flip_one_bit, empty, turn_into_a_link, turn_into_a_folder])
def test_damage_is_seen_and_the_file_named(ledger: Ledger, damage: Callable[[Path], None]) -> None:
    whole = ledger.append(Task("p.accuracy", "test-0"), KEY, frame("ab", correct=[True, False]))
    torn = ledger.append(Task("p.accuracy", "test-1"), KEY, frame("cd", correct=[True, True]))
    damage(torn.path)
    again = Ledger(ledger.root)
    assert again.damaged() == [torn]
    for read in (again.columns, lambda: again.scan("correct")):
        with pytest.raises(DamagedShardError, match="test-1") as caught:
            read()
        assert str(torn.path) in str(caught.value)
        assert "again" in str(caught.value)
    torn.remove()
    assert_frame_equal(again.scan("correct").collect(), frame("ab", correct=[True, False]))
    assert whole.intact()


def test_other_files_in_the_folder_are_no_shards(ledger: Ledger) -> None:
    shard = ledger.append(Task("c", "t"), KEY, frame("a", x=[1]))
    for name in (".part-abc", "notes.txt", "t.parquet", "a.b.parquet"):
        (shard.path.parent / name).write_text("x")
    assert list(Ledger(ledger.root).shards()) == [shard]
    assert Shard.parse(Path("c/t.parquet")) is None


# Writing: whole or absent


def no_space(*_args: object, **_more: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_no_debris_and_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    target = tmp_path / "results.json"
    write_atomically(target, "old")
    monkeypatch.setattr(os if call == "fsync" else Path, call, no_space)
    with pytest.raises(StorageError, match="the disk is full") as caught:
        write_atomically(target, "new")
    assert caught.value.remedy is not None
    assert "free some space" in caught.value.remedy
    assert str(target) in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    assert target.read_text() == "old"


LIMITED = """
import resource, signal, sys
from pathlib import Path
import polars as pl
from raiaudit.audit.check import Task
from raiaudit.audit.ledger import Ledger
from raiaudit.errors import StorageError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
ledger = Ledger(Path(sys.argv[1]))
ids = [str(i) for i in range(4000)]
resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
ledger.append(Task("c", "small"), "k" * 64, pl.DataFrame({"example_id": ["a"], "x": [1]}))
try:
    ledger.append(Task("c", "large"), "k" * 64, pl.DataFrame({"example_id": ids, "x": ids}))
except StorageError as error:
    print(error.problem)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs a POSIX limit on file sizes")
def test_a_write_that_the_kernel_cuts_short_leaves_nothing(tmp_path: Path) -> None:
    """A real short write, not a simulated one: the process may not write more than 2 KiB to a file."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "ledger")], capture_output=True, text=True, check=True
    )
    assert "cannot be written" in done.stdout
    left = [path.name for path in (tmp_path / "ledger" / "c").iterdir()]
    assert len(left) == 1
    assert left[0].startswith("small.")
    assert Ledger(tmp_path / "ledger").damaged() == []


def test_a_folder_that_cannot_be_one_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written") as caught:
        write_atomically(tmp_path / "file" / "x.json", "")
    assert caught.value.remedy is not None
    assert "move it away" in caught.value.remedy


# The journal


def test_a_journal_goes_on_after_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    seen: list[Event] = []
    path.write_text('{"event": "one"}\n{"event": "tw')
    listen = journalled(path, seen.append)
    listen({"event": "training", "epoch": 1})
    listen({"event": "three"})
    lines = path.read_text().splitlines()
    assert lines[:2] == ['{"event": "one"}', '{"event": "tw']
    assert len(lines) == 3
    assert '"three"' in lines[2]
    assert [event["event"] for event in seen] == ["training", "three"]  # an epoch is shown, not recorded


def test_a_journal_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    listen = journalled(tmp_path / "missing" / "journal.jsonl", lambda _event: None)
    with pytest.raises(StorageError, match="cannot be written"):
        listen({"event": "one"})
