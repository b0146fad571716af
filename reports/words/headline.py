"""The few numbers that stand for a run in a table of many: one a pillar, the worst of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raiaudit.audit.gates import Status
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.results import Results

__all__ = ["COLUMNS", "Column", "Headline", "headlines", "shown_columns"]


@dataclass(frozen=True, slots=True)
class Headline:
    """A measurement, and what the gate on it says, if there is one."""

    measurement: Measurement
    status: Status | None


@dataclass(frozen=True, slots=True)
class Column:
    """A headline's short title (two lines) and long one, and how it is found in results.

    `only_gated`: a second number of a pillar, shown where a gate makes it the one that counts.
    """

    short: str
    title: str
    pick: Callable[[Results], Measurement | None]
    only_gated: bool = False


def headlines(results: Results) -> list[Headline | None]:
    """One entry a column of `COLUMNS`; None where the run has no such measurement."""
    found: list[Headline | None] = []
    for column in COLUMNS:
        m = column.pick(results)
        status = next((v.status for v in results.verdicts if m is not None and v.measurement == m), None)
        found.append(None if m is None else Headline(m, status))
    return found


def shown_columns(rows: Sequence[Sequence[Headline | None]]) -> list[int]:
    """The columns in which at least one run has something to show."""

    def counts(column: Column, entry: Headline | None) -> bool:
        if entry is None or entry.measurement.value is None:
            return False
        return entry.status is not None or not column.only_gated

    return [i for i, column in enumerate(COLUMNS) if any(counts(column, row[i]) for row in rows)]


def _named(results: Results, check: str, metric: str) -> list[Measurement]:
    return [m for m in results.measurements if m.check == check and m.metric == metric]


def _worst(found: Sequence[Measurement]) -> Measurement | None:
    """The one that speaks most against the model; an undefined one only if there is no other."""
    defined = [m for m in found if m.value is not None]
    if not defined:
        return found[0] if found else None
    sign = -1.0 if defined[0].better == "lower" else 1.0
    return min(defined, key=lambda m: sign * (m.value or 0.0))


def _plain(check: str, metric: str) -> Callable[[Results], Measurement | None]:
    return lambda results: _worst(_named(results, check, metric))


def _judged(check: str, metric: str) -> Callable[[Results], Measurement | None]:
    """Of what a gate is on, else of what does not stand beside another."""

    def pick(results: Results) -> Measurement | None:
        found = _named(results, check, metric)
        gated = [m for m in found if any(v.measurement == m for v in results.verdicts)]
        return _worst(gated or [m for m in found if m.beside is None])

    return pick


def _robust(results: Results) -> Measurement | None:
    """At the largest radius that has a gate, else at the largest there is; the strongest attack."""
    found = _named(results, "robustness.evasion", "robust_accuracy")
    gated = [
        v.gate.where.get("eps") for v in results.verdicts if v.gate and v.gate.metric == "robust_accuracy"
    ]
    wanted = [float(eps) for eps in gated if isinstance(eps, int | float)]
    radii = [float(eps) for m in found if isinstance(eps := m.where.get("eps"), int | float)]
    if not radii:
        return _worst(found)
    radius = max(wanted, default=max(radii))
    return _worst([m for m in found if abs(float(m.where.get("eps", -1)) - radius) <= 1e-6 * max(1, radius)])


def _tpr(results: Results) -> Measurement | None:
    """At the smallest false-positive rate for which it is defined."""
    found = [m for m in _named(results, "privacy.membership", "tpr_at_fpr") if m.beside is None]
    defined = [m for m in found if m.value is not None]
    if not defined:
        return found[0] if found else None
    rate = min(float(m.where.get("fpr", 1)) for m in defined)
    return _worst([m for m in defined if float(m.where.get("fpr", 1)) == rate])


def _best_map(results: Results) -> Measurement | None:
    """Methods are alternatives, not threats: the one whose maps find most, of those with a gate if any."""
    found = _named(results, "explanations.attribution", "deletion_gain")
    gated = [m for m in found if any(v.measurement == m for v in results.verdicts)]
    defined = [m for m in gated or found if m.value is not None]
    return max(defined, key=lambda m: m.value or 0.0) if defined else _worst(found)


COLUMNS: tuple[Column, ...] = (
    Column("clean\nacc. %", "Clean accuracy", _plain("performance.accuracy", "accuracy")),
    Column("robust\nacc. %", "Robust accuracy", _robust),
    Column("MIA\nAUC", "Membership AUC", _judged("privacy.membership", "membership_auc")),
    Column("MIA\nTPR %", "Membership TPR at lowest FPR", _tpr, only_gated=True),
    Column("\nε", "ε", _plain("privacy.accounting", "epsilon")),
    Column("group\ngap %", "Accuracy gap between groups", _plain("fairness.groups", "accuracy_difference")),
    Column("del.\ngain %", "Deletion gain", _best_map),
    Column("\nECE %", "ECE", _plain("reliability.calibration", "ece")),
)
