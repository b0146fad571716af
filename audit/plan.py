"""The plan of one run: which checks can run on this subject, and the tasks they consist of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raiaudit.audit.catalogue import find_check
from raiaudit.errors import CapabilityError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.check import Check, CheckConfig, Task
    from raiaudit.audit.gates import Gate
    from raiaudit.audit.spec import CheckSpec, LoadedSpec, ModelSpec
    from raiaudit.audit.subject import Subject

__all__ = ["PlannedCheck", "make_plan", "plan_check", "run_identity"]


@dataclass(frozen=True, slots=True)
class PlannedCheck:
    """A check with its options and gates. `reason` says why it cannot run (then `tasks` is empty)."""

    check: Check
    config: CheckConfig
    gates: tuple[Gate, ...]
    tasks: tuple[Task, ...] = ()
    reason: str | None = None


def make_plan(loaded: LoadedSpec, model: ModelSpec, subject: Subject) -> list[PlannedCheck]:
    """Every check that is for this model, in the spec's order, with its tasks or why it cannot run."""
    plan = [plan_check(use, config, subject) for use, config in loaded.checks_of(model)]
    _refuse_collisions([task for planned in plan for task in planned.tasks])
    return plan


def plan_check(use: CheckSpec, config: CheckConfig, subject: Subject) -> PlannedCheck:
    """One check of a spec with its tasks on this subject, or why it cannot run."""
    check = find_check(use.use)
    reason = _obstacle(check, subject)
    tasks: tuple[Task, ...] = ()
    if reason is None:
        try:
            tasks = tuple(check.tasks(subject, config))
        except CapabilityError as error:
            reason = str(error)
    return PlannedCheck(check, config, use.gate, tasks, reason)


def run_identity(
    loaded: LoadedSpec, model: ModelSpec, *, model_identity: str, data_digest: str
) -> tuple[str, dict[str, Any]]:
    """The run id and the lock it is computed from: equal audits share an id, so the second is a no-op."""
    lock = loaded.lock(model)
    lock["resolved"] = {
        "model_identity": model_identity,
        "data_digest": data_digest,
        "check_versions": {use.use: find_check(use.use).version for use, _ in loaded.checks_of(model)},
    }
    digest = hashlib.sha256(json.dumps(lock, sort_keys=True).encode()).hexdigest()
    return f"{loaded.name}-{model.title}-{digest[:10]}".lower(), lock


def _obstacle(check: Check, subject: Subject) -> str | None:
    if subject.dataset.modality not in check.modalities:
        return f"{check.id} is not defined for {subject.dataset.modality} data"
    if lacking := sorted(check.needs - subject.capabilities):
        return f"the subject offers no {', no '.join(lacking)}"
    return None


def _refuse_collisions(tasks: Sequence[Task]) -> None:
    """The same check may stand twice in a spec (L∞ and L2, say) unless both would fill the same columns."""
    seen: dict[tuple[str, str], Task] = {}
    for task in tasks:
        other = seen.setdefault((task.check, task.name), task)
        if other != task:
            raise UsageError(
                f"{task.check} stands twice in the spec and both mean to fill {task.name!r}, differently",
                remedy="keep one, or move the other into a spec of its own",
            )
