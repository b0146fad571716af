"""The regulatory mapping from the side of the rules: what evidence is relevant to each, from `mapping.yaml`.

Relevant is not compliant: nothing here says that a duty is met.
"""

from __future__ import annotations

from dataclasses import dataclass

from raiaudit.reports.words.catalogues import read_catalogue

__all__ = ["Evidence", "Relevance", "relevance"]


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
    catalogue = read_catalogue("mapping.yaml")
    found: dict[str, list[Evidence]] = {}
    for row in catalogue["rows"]:
        evidence = Evidence(row["evidence"], tuple(row.get("checks", ())), bool(row.get("always")))
        for reference in row.get(framework, ()):
            found.setdefault(reference, []).append(evidence)
    texts: dict[str, str] = catalogue["references"]
    return [Relevance(key, text, tuple(found[key])) for key, text in texts.items() if key in found]
