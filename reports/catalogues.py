"""What the report says besides the numbers, kept as data: limits of each check, regulatory mapping."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

__all__ = ["Evidence", "Relevance", "catalogue_version", "limits", "mapping", "not_tested", "relevance"]

_TEMPLATES = Path(__file__).resolve().parent / "templates"


@cache
def _read(name: str) -> Any:
    return yaml.safe_load((_TEMPLATES / name).read_text(encoding="utf-8"))


def limits(check: str) -> list[str]:
    """What the numbers of a check do not say."""
    known: dict[str, list[str]] = _read("limits.yaml")
    return known.get(check, [])


def mapping(ran: frozenset[str]) -> dict[str, Any]:
    """The mapping's frameworks and rows. A row is `present` if this run holds such evidence."""
    catalogue = _read("mapping.yaml")
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
        "as_of": str(catalogue["as_of"]),
        "frameworks": catalogue["frameworks"],
        "also": catalogue["also"],
        "rows": rows,
        "references": [[key, text] for key, text in catalogue["references"].items() if key in used],
    }


@dataclass(frozen=True, slots=True)
class Relevance:
    """One duty, measure or technique of a framework, and the kinds of evidence relevant to it."""

    reference: str
    text: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A kind of evidence: yielded by any of `checks`, by every run (`always`), or by no check here."""

    name: str
    checks: tuple[str, ...]
    always: bool


def relevance(framework: str) -> list[Relevance]:
    """The catalogue from the side of the rules: each reference of a framework (by its key), in its order."""
    catalogue = _read("mapping.yaml")
    found: dict[str, list[Evidence]] = {}
    for row in catalogue["rows"]:
        evidence = Evidence(row["evidence"], tuple(row.get("checks", ())), bool(row.get("always")))
        for reference in row.get(framework, ()):
            found.setdefault(reference, []).append(evidence)
    texts: dict[str, str] = catalogue["references"]
    return [Relevance(key, text, tuple(found[key])) for key, text in texts.items() if key in found]


def catalogue_version() -> str:
    """ "version 1, as of 2026-11-20" of the mapping."""
    catalogue = _read("mapping.yaml")
    return f"version {catalogue['version']}, as of {catalogue['as_of']}"


def not_tested(asked: frozenset[str]) -> list[str]:
    """Kinds of evidence that none of the checks asked for would give."""
    return [row["evidence"] for row in _read("mapping.yaml")["rows"] if not _held(row, asked)]


def _held(row: dict[str, Any], ran: frozenset[str]) -> bool:
    return bool(row.get("always")) or bool(ran & set(row.get("checks", ())))
