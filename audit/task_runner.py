"""The work of a run: the tasks of its plan that the ledger lacks, one after the other, each kept when done.

A task that fails costs its check alone. A full disk, or a subject that is gone, ends the run, to be resumed.
"""

from __future__ import annotations

import traceback
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from raiaudit.audit.catalogue import find_check
from raiaudit.audit.check import FollowUp
from raiaudit.audit.executor import LocalExecutor
from raiaudit.errors import RaiauditError, StorageError, SubjectUnavailableError

if TYPE_CHECKING:
    from raiaudit.audit.journal import Listener
    from raiaudit.audit.plan import PlannedCheck
    from raiaudit.audit.results import RunHeader
    from raiaudit.audit.store import Run
    from raiaudit.audit.subject import Subject

__all__ = ["TaskRunner", "message_of", "told"]


def message_of(error: Exception) -> str:
    """For people: our errors speak for themselves, others are named by their type."""
    return str(error) if isinstance(error, RaiauditError) else f"{type(error).__name__}: {error}"


def told(error: Exception) -> dict[str, str]:
    """For an event: `error` for people, `details` with the traceback."""
    return {"error": message_of(error), "details": "".join(traceback.format_exception(error))}


@dataclass(frozen=True, slots=True)
class TaskRunner:
    """`header` is the one to write progress into; `events` hears of every task."""

    run: Run
    subject: Subject
    header: RunHeader
    events: Listener

    def work_off(self, plan: list[PlannedCheck]) -> tuple[list[PlannedCheck], dict[str, str]]:
        """Run what the ledger lacks: the planned tasks, then those that follow from what these found.

        Returns the plan with all tasks, and the message of each check that failed.
        """
        errors: dict[str, str] = {}
        following = {planned.check.id for planned in plan if isinstance(planned.check, FollowUp)}
        self._run_tasks(plan, errors, keep=following)
        if following:
            plan = [self._followed(planned, errors) for planned in plan]
            self._run_tasks(plan, errors, keep=None)
        return plan, errors

    def _followed(self, planned: PlannedCheck, errors: dict[str, str]) -> PlannedCheck:
        """With the tasks that depend on the ledger."""
        check = planned.check
        if planned.reason or check.id in errors or not isinstance(check, FollowUp):
            return planned
        try:
            further = tuple(check.follow_up(self.run.ledger, self.subject, planned.config))
        except StorageError:
            raise
        except Exception as error:
            errors[check.id] = message_of(error)
            self.events({"event": "check_failed", "check": check.id, **told(error)})
            return planned
        return replace(planned, tasks=(*planned.tasks, *further))

    def _run_tasks(
        self,
        plan: list[PlannedCheck],
        errors: dict[str, str],
        *,
        keep: set[str] | None,
    ) -> None:
        """Run the plan's tasks that the ledger lacks, but for those of checks that failed.

        Shards that no task yields are removed. `keep` are the checks whose tasks are not all known yet, and
        None when all are.
        """
        ledger = self.run.ledger
        tasks = list({(task.check, task.name): task for planned in plan for task in planned.tasks}.values())
        keys = {
            (task.check, task.name): task.key(
                model_digest=self.subject.record.weights_digest,
                data_digest=self.subject.dataset.digest,
                seed=self.subject.seed,
            )
            for task in tasks
        }
        stale = [shard for shard in ledger.unwanted(keys) if shard.check not in (keep or ())]
        for reason, shards in (("damaged", ledger.damaged()), ("stale", stale)):
            for shard in shards:
                text = f"removing a {reason} shard: {shard.path}"
                self.events({"event": "note", "model": self.subject.name, "text": text})
                shard.remove()
        missing = [task for task in tasks if ledger.find(task, keys[task.check, task.name]) is None]
        done = len(tasks) - len(missing)
        missing = [task for task in missing if task.check not in errors]
        users: dict[tuple[str, str], list[str]] = defaultdict(list)
        for planned in plan:
            for task in planned.tasks:
                users[task.check, task.name].append(planned.check.id)
        if missing or keep is not None:
            self.events({"event": "plan", "run": self.run.id, "tasks": len(tasks), "done": done})
        outcomes = LocalExecutor().run(
            missing, lambda task: find_check(task.check).execute(task, self.subject)
        )
        for outcome in outcomes:
            task = outcome.task
            event = {"check": task.check, "task": task.name, "seconds": round(outcome.seconds, 3)}
            if outcome.frame is None:
                assert outcome.error is not None
                if isinstance(outcome.error, StorageError | SubjectUnavailableError):
                    raise outcome.error  # not this task's fault: the run can be resumed when it is mended
                for check in users[task.check, task.name]:  # several may count the same rows
                    errors.setdefault(check, message_of(outcome.error))
                self.events({"event": "task_failed", **event, **told(outcome.error)})
                continue
            ledger.append(task, keys[task.check, task.name], outcome.frame)
            done += 1
            self.events({"event": "task_finished", **event, "done": done, "tasks": len(tasks)})
            self.run.write_header(self.header.model_copy(update={"progress": (done, len(tasks))}))
