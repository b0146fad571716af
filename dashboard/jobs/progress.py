"""How far a job came, from the events it told: pure functions over them.

What is left is foretold by what such units took so far, within the phase that runs (epochs of a training,
tasks of an audit). Cheap tasks come first: of an audit it is a lower bound. Phases to come are not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

__all__ = ["Progress", "progress_of", "sentence"]

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Progress:
    """`models`: those begun, in order; `done` of `total` units of `phase`; `left`: seconds, or None."""

    phase: str = "starting"
    models: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    done: int = 0
    total: int = 0
    left: float | None = None
    failures: int = 0

    @property
    def share(self) -> float:
        """Of the phase, from 0 to 1."""
        return min(1.0, self.done / self.total) if self.total else 0.0


def progress_of(events: Sequence[Event]) -> Progress:
    """Where the job stands after these events."""
    models: list[str] = []
    runs: list[str] = []
    units: list[Event] = []
    total = begun = failures = 0
    phase = "starting"
    for event in events:
        kind, model = event["event"], event.get("model")
        if isinstance(model, str) and model not in models:
            models.append(model)
        if kind in ("run_started", "run_unchanged", "waivers_changed"):
            runs.append(str(event["run"]))
            phase, units, total, begun = "loading the model", [], 0, 0
        elif kind == "training":
            if phase != "training":
                phase, units, begun = "training", [], int(event["epoch"]) - 1
            units.append(event)
            total = int(event["epochs"])
        elif kind == "trained":
            phase, units, total, begun = "loading the model", [], 0, 0
        elif kind == "plan":
            phase, units, total, begun = "auditing", [], int(event["tasks"]), int(event["done"])
        elif kind == "task_finished":
            units.append(event)
            total = int(event["tasks"])
        elif kind == "check_finished":
            phase = "writing the report"
        failures += kind in ("task_failed", "check_failed", "run_failed")
    done = begun + len(units)
    return Progress(
        phase=phase,
        models=tuple(models),
        runs=tuple(dict.fromkeys(runs)),
        done=done,
        total=total,
        left=_left(units, total - done) if phase in ("training", "auditing") else None,
        failures=failures,
    )


def sentence(event: Event) -> str | None:
    """An event in words, on one line; None for those that only move a bar."""
    kind = event["event"]
    if kind == "training":
        last = event["epoch"] in (1, event["epochs"]) or event["epoch"] % max(1, event["epochs"] // 5) == 0
        text = f"{event['model']}: epoch {event['epoch']} of {event['epochs']}, loss {event['loss']:.4f}"
        return text if last else None
    templates = {
        "run_started": "{model}: {run}",
        "run_unchanged": "{model}: nothing to do, {run} is complete",
        "waivers_changed": "{model}: {run} is complete; the waivers have changed",
        "trained": "{model}: trained, version {version}",
        "plan": "{tasks} tasks, {done} of them done before",
        "task_finished": "{check} {task}: {seconds:.1f} s ({done} of {tasks})",
        "task_failed": "FAILED {check} {task}: {error}",
        "check_failed": "FAILED {check}: {error}",
        "run_failed": "FAILED {model}: {error}",
        "run_finished": "{run}: {verdict}",
        "note": "{text}",
    }
    try:
        return " ".join(templates[kind].format(**event).split()) if kind in templates else None
    except (KeyError, ValueError, TypeError):
        return str(kind)


def _left(units: Sequence[Event], remaining: int) -> float | None:
    """Seconds for `remaining` more units at the pace of these; None before the second one."""
    times = [moment for unit in units if (moment := _moment(unit)) is not None]
    if len(times) < 2 or remaining <= 0:
        return None
    return (times[-1] - times[0]) / (len(times) - 1) * remaining


def _moment(event: Event) -> float | None:
    try:
        return datetime.fromisoformat(str(event["time"])).timestamp()
    except (KeyError, ValueError):
        return None
