"""The pillars of an audit, in the order of every page, and what a run's gates say of a check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.audit.gates import SEVERITY

if TYPE_CHECKING:
    from raiaudit.audit.gates import Status
    from raiaudit.audit.results import Results

__all__ = ["PILLARS", "pillar_of", "worst_of"]

PILLARS = ("performance", "robustness", "privacy", "fairness", "explanations", "reliability")


def pillar_of(check: str) -> str:
    """`robustness.evasion` → "robustness"."""
    return check.split(".")[0]


def worst_of(results: Results, check: str) -> Status | None:
    """The worst verdict of the gates on one check; None where it has none."""
    found = [verdict.status for verdict in results.verdicts if verdict.check == check]
    return max(found, key=SEVERITY.__getitem__, default=None)
