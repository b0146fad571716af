"""Gates of a file of predictions, from flags or a YAML list, and the checks they are about.

`metric=number`, `metric@attribute=number` or `metric@attribute:group=number`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from raiaudit.audit.gates import Gate
from raiaudit.audit.spec_errors import examined, refusal
from raiaudit.audit.yaml_source import read_yaml
from raiaudit.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from raiaudit.audit.measurement import Measurement

__all__ = ["check_of", "parse_gate", "read_gates"]

_FORM = "metric=0.1, metric@attribute=0.1 or metric@attribute:group=0.1"


def parse_gate(
    text: str, bound: Literal["min", "max"], *, attributes: Sequence[str], confidence: float
) -> Gate:
    """One flag's gate. Raises `UsageError` for another form, `UnknownNameError` for a strange attribute."""
    left, equals, right = text.rpartition("=")
    metric, at, place = left.partition("@")
    try:
        number = float(right)
    except ValueError:
        number = math.nan
    if not equals or not metric or not math.isfinite(number) or (at and not place):
        raise UsageError(f"{text!r} is no gate", where=f"--{bound}", remedy=_FORM)
    where: dict[str, str] = {}
    if place:
        attribute = next((name for name in attributes if place == name or place.startswith(f"{name}:")), None)
        if attribute is None:
            raise UnknownNameError("group column", place.partition(":")[0], attributes, where=f"--{bound}")
        where = {"attribute": attribute}
        if group := place[len(attribute) + 1 :]:
            where["group"] = group
    return Gate.model_validate({"metric": metric, "where": where, bound: number, "confidence": confidence})


def read_gates(path: Path) -> list[Gate]:
    """A YAML list of gates, each as in a spec. Raises `SpecError` for all that is wrong, by line."""
    source = read_yaml(path, list)
    found = [examined(Gate, entry, at=(i,)) for i, entry in enumerate(source.data)]
    if mistakes := [mistake for _, wrong in found for mistake in wrong]:
        raise refusal(mistakes, source)
    return [gate for gate, _ in found if gate is not None]


def check_of(gate: Gate, measured: Mapping[str, Sequence[Measurement]]) -> str:
    """The first check that measures the gate's metric. Raises `UnknownNameError`: a typo must not pass."""
    for check, measurements in measured.items():
        if any(m.metric == gate.metric for m in measurements):
            return check
    known = {m.metric for measurements in measured.values() for m in measurements}
    raise UnknownNameError("metric", gate.metric, known, where="gate")
