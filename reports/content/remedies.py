"""What to do about a finding: data (`templates/remedies.yaml`), chosen by check, metric and outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raiaudit.reports.words.catalogues import read_catalogue

__all__ = ["FlagRule", "Remedy", "error_remedy", "flag_rules", "remedy"]


@dataclass(frozen=True, slots=True)
class Remedy:
    """`means` of a failure in plain words, the `next` steps after it; what would decide an open question, and
    what a check that did not run is missing. Empty where the catalogue does not know the check."""

    means: str = ""
    next: tuple[str, ...] = ()
    undecided: str = ""
    missing: str = ""


@dataclass(frozen=True, slots=True)
class FlagRule:
    """What is grave although no gate asked: a lower bound `above`, an upper bound `below`, or a doubt."""

    title: str
    check: str
    metric: str = ""
    above: float | None = None
    below: float | None = None
    doubts: bool = False

    def bounds(self) -> tuple[tuple[str, float | None], ...]:
        """Its two bounds by name."""
        return ("above", self.above), ("below", self.below)


def remedy(check: str, metric: str = "") -> Remedy:
    """Of this metric of this check: the check's own, with what the catalogue says of the metric alone."""
    entry: Mapping[str, Any] = read_catalogue("remedies.yaml")["checks"].get(check, {})
    found = {**entry, **entry.get("metrics", {}).get(metric, {})}
    found.pop("metrics", None)
    return Remedy(**{**found, "next": tuple(found.get("next", ()))})


def error_remedy(message: str) -> str:
    """What to do about a check that stopped with `message`."""
    known: Mapping[str, str] = read_catalogue("remedies.yaml")["errors"]
    return next((text for name, text in known.items() if name in message), known["other"])


def flag_rules() -> list[FlagRule]:
    """The rules, in the order of the catalogue."""
    return [FlagRule(**rule) for rule in read_catalogue("remedies.yaml")["flags"]]
