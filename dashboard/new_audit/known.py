"""Names the form can offer, from what is at hand: earlier runs, the catalogue, the head of a file.

Files are looked into only for somebody who sits at this machine, and no further than their column names.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from raiaudit.dashboard.new_audit.section import Known
from raiaudit.dashboard.reading import list_runs, results_of
from raiaudit.errors import StorageError
from raiaudit.models.data.known import KNOWN
from raiaudit.models.registry_listing import list_registered, registry_elsewhere

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raiaudit.audit.store import Home

__all__ = ["columns_of", "names_known"]

_RUNS_READ = 8
_SEPARATORS = {".csv": ",", ".tsv": "\t"}


def names_known(home: Home, data: Mapping[str, str], *, local: bool) -> Known:
    """Of the newest finished runs, and of the data chosen at this moment (`name`, or `path` and `text`)."""
    metrics: dict[str, dict[str, None]] = {}
    finished = [entry.run for entry in list_runs(home) if entry.header and entry.header.status == "finished"]
    for run in finished[:_RUNS_READ]:
        try:
            measurements = results_of(run).measurements
        except StorageError:
            continue
        for m in measurements:
            metrics.setdefault(m.check, {})[m.metric] = None
    path = Path(data["path"]).expanduser() if "path" in data and local else None
    return Known(
        models=_registered(home),
        metrics={check: tuple(names) for check, names in metrics.items()},
        modality=_modality(data, path),
        columns=columns_of(path) if path is not None else (),
        local=local,
    )


def _registered(home: Home) -> tuple[str, ...]:
    """References to the home's own models; a registry elsewhere is not asked."""
    if registry_elsewhere() is not None:
        return ()
    try:
        return tuple(f"registry:{model.name}/{model.version}" for model in list_registered(home.root))
    except StorageError:
        return ()


def columns_of(path: Path) -> tuple[str, ...]:
    """The column names of a table, or of a folder's metadata.csv; none if it cannot be read."""
    try:
        file = path / "metadata.csv" if path.is_dir() else path
        status = file.stat()
        return _columns(file, status.st_mtime_ns, status.st_size) if file.is_file() else ()
    except (OSError, ValueError):  # ValueError: a zero byte in the path
        return ()


@lru_cache(maxsize=16)
def _columns(file: Path, _stamp: int, _size: int) -> tuple[str, ...]:
    suffix = file.suffix.lower()
    try:
        if suffix == ".parquet":
            return tuple(pl.read_parquet_schema(file))
        if suffix in _SEPARATORS:
            separator = _SEPARATORS[suffix]
            return tuple(pl.read_csv(file, separator=separator, infer_schema=False, n_rows=1).columns)
    except (pl.exceptions.PolarsError, OSError):
        return ()
    return ()


def _modality(data: Mapping[str, str], path: Path | None) -> str | None:
    """The kind of data, where name or file tells it."""
    if "name" in data:
        return KNOWN[data["name"]].modality if data["name"] in KNOWN else None
    if data.get("text"):
        return "text"
    return "tabular" if path is not None and path.suffix.lower() in (*_SEPARATORS, ".parquet") else None
