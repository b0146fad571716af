"""Comparisons as the page needs them, kept while the runs' results stay as they are."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from raiaudit.audit.store import Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.comparison.results import Comparison

__all__ = ["comparison_of", "pdf_of"]

_Stamped = tuple[tuple[Path, int, int], ...]


def comparison_of(runs: Sequence[Run]) -> Comparison:
    """Raises `NotComparableError`, and `StorageError` where a ledger is damaged."""
    return _comparison(_stamped(runs))


def pdf_of(comparison: Comparison) -> bytes:
    """Its PDF, made when it is asked for."""
    from raiaudit.reports.comparison.pdf import comparison_pdf

    return comparison_pdf(comparison)


def _stamped(runs: Sequence[Run]) -> _Stamped:
    found = []
    for run in runs:
        status = (run.folder / "results.json").stat()
        found.append((run.folder, status.st_mtime_ns, status.st_size))
    return tuple(found)


@lru_cache(maxsize=8)
def _comparison(stamped: _Stamped) -> Comparison:
    from raiaudit.audit.comparison import compare_runs

    return compare_runs([Run(folder) for folder, _, _ in stamped])
