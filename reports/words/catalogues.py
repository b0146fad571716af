"""What the report says besides the numbers, kept as data: limits of each check, regulatory mapping."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

__all__ = ["limits", "mapping", "not_tested", "read_catalogue"]

_TEMPLATES = Path(__file__).resolve().parent.parent / "templates"


@cache
def read_catalogue(name: str) -> Any:
    """A YAML file of `templates/`, read once."""
    return yaml.safe_load((_TEMPLATES / name).read_text(encoding="utf-8"))


def limits(check: str) -> list[str]:
    """What the numbers of a check do not say."""
    known: dict[str, list[str]] = read_catalogue("limits.yaml")
    return known.get(check, [])


def mapping(ran: frozenset[str]) -> dict[str, Any]:
    """The mapping's frameworks and rows. A row is `present` if this run holds such evidence."""
    catalogue = read_catalogue("mapping.yaml")
    keys = [framework["key"] for framework in catalogue["frameworks"]]
    rows = [
        {
            "evidence": row["evidence"],
            "present": _held(row, ran),
            "cells": [list(row.get(key, ())) for key in keys],
        }
        for row in catalogue["rows"]
    ]
    used = {cell for row in rows for cells in row["cells"] for cell in cells}
    return {
        "version": catalogue["version"],
        "as_of": str(catalogue["as_of"]),
        "frameworks": catalogue["frameworks"],
        "also": catalogue["also"],
        "rows": rows,
        "references": [[key, text] for key, text in catalogue["references"].items() if key in used],
    }


def not_tested(asked: frozenset[str]) -> list[str]:
    """Kinds of evidence that none of the checks asked for would give."""
    return [row["evidence"] for row in read_catalogue("mapping.yaml")["rows"] if not _held(row, asked)]


def _held(row: dict[str, Any], ran: frozenset[str]) -> bool:
    return bool(row.get("always")) or bool(ran & set(row.get("checks", ())))
