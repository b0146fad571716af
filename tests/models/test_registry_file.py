"""The registry's file appears whole or not at all, whatever stops its making."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from raiaudit.models.registry_file import ensure_registry_file, registry_address


class StoppedHalfWay:
    """MLflow's client, killed by Ctrl-C in the middle of its migrations."""

    def __init__(self, *, tracking_uri: str, registry_uri: str) -> None:
        assert tracking_uri == registry_uri
        with sqlite3.connect(tracking_uri.removeprefix("sqlite:///")) as base:
            base.execute("CREATE TABLE experiments (id INTEGER)")

    def search_registered_models(self, **_: Any) -> None:
        raise KeyboardInterrupt


class Quick(StoppedHalfWay):
    """One that comes to its end; another process is quicker where `other` is a path."""

    other: Path | None = None

    def search_registered_models(self, **_: Any) -> None:
        if self.other is not None:
            self.other.write_bytes(b"the other's")


def test_a_creation_that_is_stopped_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlflow.tracking.MlflowClient", StoppedHalfWay)
    with pytest.raises(KeyboardInterrupt):
        ensure_registry_file(tmp_path / "registry.db")
    assert not list(tmp_path.iterdir())


def test_what_was_made_is_put_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlflow.tracking.MlflowClient", Quick)
    ensure_registry_file(tmp_path / "registry.db")
    assert [path.name for path in tmp_path.iterdir()] == ["registry.db"]
    with sqlite3.connect(tmp_path / "registry.db") as base:
        assert base.execute("SELECT name FROM sqlite_master").fetchall() == [("experiments",)]


def test_the_quicker_of_two_processes_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlflow.tracking.MlflowClient", Quick)
    monkeypatch.setattr(Quick, "other", tmp_path / "registry.db")
    ensure_registry_file(tmp_path / "registry.db")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"registry.db": b"the other's"}


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "registry.db").write_bytes(b"anything")
    ensure_registry_file(tmp_path / "registry.db")
    assert (tmp_path / "registry.db").read_bytes() == b"anything"


@pytest.mark.parametrize("name", ["feature%2Fx", "100%", "what?", "a#b", "a b", "ü"])
def test_every_path_has_an_address_that_sqlalchemy_opens_there(tmp_path: Path, name: str) -> None:
    from sqlalchemy import create_engine, text

    path = tmp_path / name / "registry.db"
    path.parent.mkdir()
    engine = create_engine(registry_address(path))
    with engine.connect() as base:
        base.execute(text("CREATE TABLE found (id INTEGER)"))
        base.commit()
    engine.dispose()
    assert [found.name for found in tmp_path.iterdir()] == [name]  # nothing beside it
    with sqlite3.connect(path) as base:
        assert base.execute("SELECT name FROM sqlite_master").fetchall() == [("found",)]
