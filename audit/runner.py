"""The runner: a plan executed into a ledger, the ledger summarised, the summary judged.

Everything on the way is resumable: a task whose shard is intact is not redone, and a run whose seals
hold is not touched at all. What a crash leaves is a header that says "running" and finished shards.
"""

from __future__ import annotations

import platform
import time
import traceback
from collections import defaultdict
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import yaml

from raiaudit.audit.files import storage_error, write_atomically
from raiaudit.audit.gates import overall
from raiaudit.audit.journal import journalled, now
from raiaudit.audit.judgement import judge
from raiaudit.audit.ledger import parquet_bytes
from raiaudit.audit.lock import run_lock
from raiaudit.audit.plan import PlannedCheck, make_plan, run_identity
from raiaudit.audit.resolution import Resolver
from raiaudit.audit.results import CheckOutcome, DataCard, Results, RunHeader, SubjectCard
from raiaudit.audit.spec import load_data
from raiaudit.audit.store import Run
from raiaudit.audit.task_runner import TaskRunner, message_of, told
from raiaudit.errors import RaiauditError, StorageError, SubjectUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from raiaudit.audit.journal import Listener
    from raiaudit.audit.ledger import Ledger
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.spec import LoadedSpec, ModelSpec
    from raiaudit.audit.store import Home
    from raiaudit.audit.subject import Subject

    Documents = Callable[[Run], object]

__all__ = ["run_suite"]

_NOTED = ("raiaudit", "torch", "numpy", "polars", "opacus", "dp-accounting", "foolbox")


def run_suite(
    loaded: LoadedSpec, home: Home, *, listener: Listener, documents: Documents, unsafe_load: bool = False
) -> list[Run]:
    """Audit every model of a spec; one run each, in the order of the spec.

    `documents` writes the reports into a run directory before it is sealed. A run that fails is left
    as `failed` with what it computed, and the other models are still audited; the first failure is
    raised at the end. `unsafe_load` admits models whose loading can run code.
    """
    dataset = load_data(loaded)
    resolver = Resolver(dataset, loaded.spec.run, loaded.folder, home.root, unsafe_load)
    failures: list[RaiauditError] = []
    identities: list[tuple[ModelSpec, str]] = []
    for model in loaded.spec.subjects:  # refuse before any work
        try:
            identities.append((model, resolver.identity(model)))
        except SubjectUnavailableError as error:
            failures.append(error)
            listener({"event": "run_failed", "run": None, "model": model.title, "error": str(error)})
    runs: list[Run] = []
    for model, identity in identities:
        run_id, lock = run_identity(loaded, model, model_identity=identity, data_digest=dataset.digest)
        run = Run(home.runs_folder / run_id)
        runs.append(run)
        if is_complete(run):
            listener({"event": "run_unchanged", "run": run_id, "model": model.title})
            continue
        try:
            with run_lock(run.folder):
                _RunInProgress(loaded, model, run, lock, resolver, listener, documents).finish()
        except Exception as error:  # even a defect of ours or of a plug-in must not cost the other models
            failures.append(_explained(error, run))
            listener({"event": "run_failed", "run": run_id, "model": model.title, "error": str(failures[-1])})
            if isinstance(failures[-1], StorageError):
                break  # a full disk will not be emptier for the next model
    if failures:
        raise failures[0]
    return runs


def is_complete(run: Run) -> bool:
    """Whether nothing is left to do: finished, and every file still as it was sealed."""
    try:
        return run.finished and not run.broken_seals()
    except RaiauditError:
        return False


@dataclass
class _RunInProgress:
    loaded: LoadedSpec
    model: ModelSpec
    run: Run
    lock: dict[str, Any]
    resolver: Resolver
    listener: Listener
    documents: Documents

    def finish(self) -> None:
        """From whatever state the run directory is in to a sealed one."""
        started = time.perf_counter()
        for debris in self.run.folder.rglob(".part-*"):
            debris.unlink()
        self.events = journalled(self.run.folder / "journal.jsonl", self.listener)
        header = self._new_header()
        write_atomically(
            self.run.folder / "spec.lock.yaml", yaml.safe_dump(self.lock, sort_keys=False, allow_unicode=True)
        )
        self.run.write_header(header)
        self.events({"event": "run_started", "run": self.run.id, "model": self.model.title})
        try:
            results = self._audit(header)
            self._conclude(results, header, time.perf_counter() - started)
        except KeyboardInterrupt:
            self._stop(header, "interrupted", "stopped by the user")
            raise
        except RaiauditError as error:
            self._stop(header, "failed", str(error))
            raise
        except Exception as error:
            self._stop(header, "failed", message_of(error), "".join(traceback.format_exception(error)))
            raise

    def _audit(self, header: RunHeader) -> Results:
        subject = self.resolver.subject(self.model, self.events)
        plan = make_plan(self.loaded, self.model, subject)
        plan, errors = TaskRunner(self.run, subject, header, self.events).work_off(plan)
        measurements, errors = self._summarise(plan, subject, errors)
        spec = self.loaded.spec
        verdicts = judge(
            plan, measurements, errors, spec.policy, self.run, data_digest=subject.dataset.digest
        )
        return Results(
            run=self.run.id,
            verdict=overall(verdicts),
            partial=spec.run.limit is not None,
            purpose=spec.context.purpose,
            subject=_subject_card(subject),
            data=_data_card(subject),
            seed=spec.run.seed,
            checks=tuple(_outcome(planned, errors) for planned in plan),
            measurements=tuple(measurements),
            verdicts=tuple(verdicts),
        )

    def _summarise(
        self, plan: list[PlannedCheck], subject: Subject, errors: dict[str, str]
    ) -> tuple[list[Measurement], dict[str, str]]:
        measurements: list[Measurement] = []
        failed = dict(errors)
        tables: dict[tuple[str, str], list[pl.DataFrame]] = defaultdict(list)
        ledger: Ledger = self.run.ledger
        for planned in plan:
            check = planned.check
            if planned.reason or check.id in failed:
                continue
            start = time.perf_counter()
            try:
                measurements += check.summarise(ledger, subject, planned.config)
                for name, table in check.evidence(ledger, subject, planned.config).items():
                    tables[check.id, name].append(table)
            except StorageError:
                raise
            except Exception as error:
                failed[check.id] = message_of(error)
                self.events({"event": "check_failed", "check": check.id, **told(error)})
                continue
            seconds = round(time.perf_counter() - start, 3)
            self.events({"event": "check_finished", "check": check.id, "seconds": seconds})
        for (name_of_check, name), parts in tables.items():
            path = self.run.folder / "evidence" / name_of_check / f"{name}.parquet"
            write_atomically(path, parquet_bytes(pl.concat(parts, how="diagonal_relaxed")))
        return measurements, failed

    def _conclude(self, results: Results, header: RunHeader, seconds: float) -> None:
        folder = self.run.folder
        write_atomically(folder / "results.json", results.model_dump_json(indent=2) + "\n")
        counts: dict[str, int] = {}
        for verdict in results.verdicts:
            counts[verdict.status] = counts.get(verdict.status, 0) + 1
        tasks = sum(outcome.tasks for outcome in results.checks)
        done = header.model_copy(
            update={
                "status": "finished",
                "verdict": results.verdict,
                "finished": now(),
                "seconds": round(seconds, 2),
                "progress": (tasks, tasks),
                "gates": counts,
            }
        )
        self.run.write_header(done)
        self.documents(self.run)
        self.events({"event": "run_finished", "run": self.run.id, "verdict": results.verdict})
        self.run.seal()

    def _stop(self, header: RunHeader, status: str, message: str, details: str = "") -> None:
        self.run.write_header(
            header.model_copy(update={"status": status, "error": message, "finished": now()})
        )
        self.events(
            {
                "event": "run_stopped",
                "run": self.run.id,
                "status": status,
                "error": message,
                "details": details,
            }
        )

    def _new_header(self) -> RunHeader:
        spec = self.loaded.spec
        return RunHeader(
            id=self.run.id,
            suite=f"{self.loaded.name}-{self.loaded.digest()[:10]}",
            model=self.model.title,
            data=self.resolver.dataset.name,
            modality=self.resolver.dataset.modality,
            status="running",
            started=now(),
            partial=spec.run.limit is not None,
            versions={"python": platform.python_version(), **{name: version(name) for name in _NOTED}},
            machine=f"{platform.system()} {platform.machine()}",
            spec_path=str(self.loaded.source.path),
            owner=spec.context.owner,
            purpose=spec.context.purpose,
            risk_class=spec.context.risk_class,
        )


def _explained(error: Exception, run: Run) -> RaiauditError:
    if isinstance(error, RaiauditError):
        return error
    if isinstance(error, OSError):
        return storage_error(error, Path(error.filename) if isinstance(error.filename, str) else run.folder)
    return RaiauditError(
        f"unexpected {message_of(error)}",
        where=str(run.folder / "journal.jsonl"),
        remedy="this is a defect: the journal has the traceback",
    )


def _outcome(planned: PlannedCheck, errors: dict[str, str]) -> CheckOutcome:
    check = planned.check
    message = errors.get(check.id)
    return CheckOutcome(
        check=check.id,
        question=check.question,
        status="not_run" if planned.reason else "error" if message else "ran",
        reason=planned.reason or message,
        config=planned.config.model_dump(mode="json"),
        tasks=len(planned.tasks),
    )


def _subject_card(subject: Subject) -> SubjectCard:
    """The record without what another training of the same model would not repeat."""
    record = subject.record.model_copy(update={"seconds": None, "device": None})
    return SubjectCard(name=subject.name, version=subject.version.version, record=record)


def _data_card(subject: Subject) -> DataCard:
    dataset, audited = subject.dataset, subject.test
    groups = {
        column: {level: int(n) for level, n in sorted(audited.groups[column].value_counts().iter_rows())}
        for column in audited.groups.columns
    }
    return DataCard(
        name=dataset.name,
        modality=dataset.modality,
        classes=dataset.classes,
        digest=dataset.digest,
        sizes={name: len(split) for name, split in dataset.splits.items()},
        audited=len(audited),
        groups=groups,
        source=dataset.source,
        licence=dataset.licence,
    )
