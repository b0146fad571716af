"""What a home's own registry holds, read without MLflow: in milliseconds, and without changing a byte.

Opening a registry with MLflow's client takes seconds and may bring its data base up to date; a page that
only looks must do neither. The tables read here are MLflow's `model_versions`, `model_version_tags` and
`registered_model_aliases`. A registry behind `MLFLOW_TRACKING_URI` cannot be read so.
"""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from pydantic import ValidationError

from raiaudit.errors import StorageError
from raiaudit.models.registry import RECORD, RegisteredModel
from raiaudit.models.version import TrainingRecord

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["list_registered", "record_beside", "registry_elsewhere"]

_SECONDS = 1.0  # to wait for somebody who is writing


def registry_elsewhere() -> str | None:
    """The address of the registry in use where it is not the home's own file."""
    return os.environ.get("MLFLOW_TRACKING_URI")


def list_registered(home: Path) -> list[RegisteredModel]:
    """Every version in `home/registry.db`, by name, newest first; none where there is no such file.

    Raises `StorageError` for a file that is no registry, or is being written for longer than a second.
    """
    path = home / "registry.db"
    if not path.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_SECONDS)) as base:
            versions = base.execute(
                "SELECT name, version, creation_time, source FROM model_versions "
                "WHERE current_stage IS NULL OR current_stage != 'Deleted_Internal'"
            ).fetchall()
            tags = base.execute("SELECT name, version, key, value FROM model_version_tags").fetchall()
            aliases = base.execute("SELECT name, version, alias FROM registered_model_aliases").fetchall()
    except sqlite3.Error as error:
        raise StorageError(
            f"the model registry cannot be read: {error}",
            where=str(path),
            remedy="`raiaudit models list` opens it with MLflow and says more",
        ) from error
    tags_of: dict[tuple[str, int], dict[str, str]] = defaultdict(dict)
    for name, version, key, value in tags:
        tags_of[name, int(version)][key] = value
    aliases_of: dict[tuple[str, int], list[str]] = defaultdict(list)
    for name, version, alias in aliases:
        aliases_of[name, int(version)].append(alias)
    found = [
        RegisteredModel(
            name=name,
            version=int(version),
            aliases=tuple(sorted(aliases_of[name, int(version)])),
            tags=tags_of[name, int(version)],
            created=int(created),
            source=str(source),
        )
        for name, version, created, source in versions
    ]
    return sorted(found, key=lambda model: (model.name, -model.version))


def record_beside(home: Path, model: RegisteredModel) -> TrainingRecord | None:
    """The lineage of a version whose artifacts lie in this home, or None. Nothing outside it is read."""
    address = urlsplit(model.source)
    if address.scheme != "file":
        return None
    artifacts = (home / "artifacts").resolve()
    # By run and folder, not by the whole address: a home may have been copied or moved.
    path = artifacts.joinpath(*unquote(address.path).split("/")[-2:], RECORD).resolve()
    if not path.is_relative_to(artifacts) or not path.is_file():
        return None
    try:
        return TrainingRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
