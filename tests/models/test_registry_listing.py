"""The registry read without MLflow: what it refuses (that it agrees with MLflow: `test_registry.py`)."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from raiaudit.errors import StorageError
from raiaudit.models.registry import RegisteredModel
from raiaudit.models.registry_listing import list_registered, record_beside


def test_a_moved_home_keeps_its_records_and_nothing_outside_is_read(tmp_path: Path) -> None:
    outside = tmp_path / "outside" / "artifacts"
    outside.mkdir(parents=True)
    (outside / "record.json").write_text("{}")
    home = tmp_path / "home"
    (home / "artifacts").mkdir(parents=True)
    for source in (
        f"file://{outside}",
        "file:///x/../../outside/artifacts",
        "https://x.example/a",
        "s3://b/c",
    ):
        model = RegisteredModel("m", 1, (), {}, 0, source)
        assert record_beside(home, model) is None
    (home / "artifacts" / "linked").symlink_to(tmp_path / "outside")
    assert record_beside(home, RegisteredModel("m", 1, (), {}, 0, "file:///old/linked/artifacts")) is None


def test_no_registry_is_an_empty_list_and_a_damaged_one_an_error(tmp_path: Path) -> None:
    assert list_registered(tmp_path) == []
    assert not (tmp_path / "registry.db").exists()
    (tmp_path / "registry.db").write_bytes(b"not a data base at all, but long enough to be read as one" * 20)
    with pytest.raises(StorageError, match="cannot be read"):
        list_registered(tmp_path)


def test_somebody_who_writes_for_long_is_not_waited_for(tmp_path: Path) -> None:
    writer = sqlite3.connect(tmp_path / "registry.db")
    writer.execute("CREATE TABLE model_versions (name)")
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageError, match="locked"):
        list_registered(tmp_path)
    writer.close()


def test_it_imports_no_mlflow() -> None:
    code = (
        "import sys; import raiaudit.models.registry_listing; "
        "sys.exit(bool({'mlflow', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
