"""Two audits that would do the same work: one does it, the other waits and finds it done."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from raiaudit.audit.lock import turn
from raiaudit.audit.resolution import obtain
from raiaudit.errors import StorageError
from raiaudit.models.data import load_dataset
from raiaudit.models.recipe import Recipe

if TYPE_CHECKING:
    from raiaudit.models.registry import Registry


def test_turns_do_not_overlap_and_leave_no_file(tmp_path: Path) -> None:
    path, inside, seen, told = tmp_path / "deep" / "work.lock", [0], [0], [0]

    def work() -> None:
        with turn(path, lambda: told.__setitem__(0, told[0] + 1)):
            inside[0] += 1
            seen.append(inside[0])
            time.sleep(0.05)
            inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert seen == [0, 1, 1, 1, 1]
    assert 1 <= told[0] <= 3  # each that waited said so once
    assert not path.exists()


def test_a_file_that_a_dead_process_left_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / "work.lock").touch()
    with turn(tmp_path / "work.lock", lambda: pytest.fail("nobody has it")):
        pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError), turn(tmp_path / "file" / "work.lock", lambda: None):
        pass


class _Shelf:
    """A registry with one place; storing takes a while."""

    def __init__(self) -> None:
        self.held: Any = None
        self.stored = 0
        self.lost = False

    def trained(self, _name: str, _key: str) -> Any:
        return self.held

    def is_lost(self, _version: Any) -> bool:
        return self.lost

    def add(self, version: Any, **_: Any) -> Any:
        time.sleep(0.3)
        self.stored += 1
        self.lost = False
        self.held = version
        return version

    def open_version(self, held: Any) -> Any:
        return held


def wanted(shelf: _Shelf, home: Path, told: list[str] | None = None) -> Any:
    """What an audit gets that needs the model."""
    registry: Registry = shelf  # type: ignore[assignment]
    return obtain(
        registry,
        "m",
        Recipe(architecture="cnn"),
        load_dataset("digits"),
        seed=0,
        device="cpu",
        home=home,
        listener=lambda event: (told if told is not None else []).append(event.get("text", "")),
    )


def test_two_audits_train_a_model_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = SimpleNamespace(version=1, record=SimpleNamespace(seconds=0.0, metrics={}))
    monkeypatch.setattr("raiaudit.models.training.train", lambda *_, **__: version)
    shelf, got = _Shelf(), []
    threads = [threading.Thread(target=lambda: got.append(wanted(shelf, tmp_path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert shelf.stored == 1
    assert got[0] is got[1]
    assert not list((tmp_path / "cache" / "training").iterdir())


def test_a_model_whose_files_are_gone_is_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = SimpleNamespace(version=1, record=SimpleNamespace(seconds=0.0, metrics={}))
    monkeypatch.setattr("raiaudit.models.training.train", lambda *_, **__: version)
    shelf, told = _Shelf(), list[str]()
    wanted(shelf, tmp_path)
    wanted(shelf, tmp_path)
    assert shelf.stored == 1
    shelf.lost = True
    wanted(shelf, tmp_path, told)
    assert shelf.stored == 2
    assert any("are gone: it is trained again" in text for text in told)


def test_what_a_process_left_that_ended_after_storing_is_cleared_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = SimpleNamespace(version=1, record=SimpleNamespace(seconds=0.0, metrics={}))
    monkeypatch.setattr("raiaudit.models.training.train", lambda *_, **__: version)
    shelf, folder = _Shelf(), tmp_path / "cache" / "training"
    monkeypatch.setattr(Path, "unlink", lambda self, missing_ok=False: None)  # killed before it could
    wanted(shelf, tmp_path)
    (lock,) = folder.iterdir()
    lock.with_suffix(".pt").touch()
    monkeypatch.undo()
    wanted(shelf, tmp_path)
    assert not list(folder.iterdir())
    assert shelf.stored == 1
