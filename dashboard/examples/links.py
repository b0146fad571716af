"""Which examples stand behind a gate: the Example page's address for a verdict, where rows can show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.dashboard.examples.finding import ANY_ATTACK, attacks, group_columns, sortable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raiaudit.audit.gates import Verdict
    from raiaudit.audit.measurement import Scalar
    from raiaudit.dashboard.examples.rows import ExampleRows

__all__ = ["LEADING", "gate_examples"]

LEADING = ("fail", "inconclusive")
"""Verdicts whose examples are worth a look."""

# Checks whose rows are sorted by a column, and whether the largest value comes first.
_SORTED = {
    "reliability.calibration": ("calibration.brier", "yes"),
    "explanations.attribution": ("attribution.{method}.deletion", "yes"),
    "explanations.faithfulness": ("faithfulness.{method}.deletion_auc", "yes"),
}
_METHOD = "integrated_gradients"


def gate_examples(verdict: Verdict, rows: ExampleRows) -> dict[str, str] | None:
    """The filter that shows them; None where there is nothing to see: the gate passed, or no row tells."""
    gate = verdict.gate
    if gate is None or verdict.status not in LEADING or rows.audited() is None:
        return None
    where = {**(verdict.measurement.where if verdict.measurement else {}), **gate.where}
    group = _group(where, rows)
    if verdict.check == "robustness.evasion":
        return {"broken": _attack(where, rows), "answer": "right", **group}
    if verdict.check == "performance.accuracy":
        return {"answer": "wrong", **({"label": str(where["class"])} if "class" in where else {}), **group}
    if verdict.check.startswith("fairness."):
        return {"answer": "wrong", **group} if group else None
    if verdict.check == "robustness.corruption":
        column = f"corruption.{where.get('corruption')}-{where.get('severity')}.correct"
        return {"sort": column} if column in rows.columns else {"answer": "wrong"}
    if verdict.check in _SORTED:
        column, down = _SORTED[verdict.check]
        column = column.format(method=where.get("method", _METHOD))
        return {"sort": column, "down": down} if column in sortable(rows) else None
    return None


def _group(where: Mapping[str, Scalar], rows: ExampleRows) -> dict[str, str]:
    name = str(where.get("attribute", ""))
    if name not in group_columns(rows):
        return {}
    return {"group": name, **({"level": str(where["group"])} if "group" in where else {})}


def _attack(where: Mapping[str, Scalar], rows: ExampleRows) -> str:
    """The attack at the gate's radius; all of them where several fit, or none."""
    wanted = [str(where[key]) for key in ("norm", "attack") if key in where]
    if isinstance(eps := where.get("eps"), int | float):
        wanted.append(f"{eps:g}")
    fitting = [tag for tag in attacks(rows) if all(part in _parts(tag) for part in wanted)]
    return fitting[0] if len(fitting) == 1 else ANY_ATTACK


def _parts(tag: str) -> tuple[str, ...]:
    """`linf-0.15-autoattack-screen` → norm, radius, attack."""
    return tuple(tag.split("-", 2))
