"""The runner: a plan executed into a ledger, the ledger summarised, the summary judged.

Everything on the way is resumable: a task whose shard is intact is not redone, and a run whose seals
hold is not touched at all. What a crash leaves is a header that says "running" and finished shards.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from raiaudit.audit.files import storage_error
from raiaudit.audit.gates import overall
from raiaudit.audit.gating import attach, renew_waivers
from raiaudit.audit.journal import now
from raiaudit.audit.judgement import judge
from raiaudit.audit.lock import run_lock
from raiaudit.audit.plan import PlannedCheck, make_plan, run_identity
from raiaudit.audit.recipe_options import refuse_wrong_options
from raiaudit.audit.resolution import Resolver
from raiaudit.audit.results import CheckOutcome, DataCard, Results, RunHeader, SubjectCard
from raiaudit.audit.run_writing import (
    is_complete,
    surroundings,
    write_evidence,
    write_run,
)
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
    planned: list[tuple[ModelSpec, Run, dict[str, Any], bool]] = []
    for model, identity in identities:
        run_id, lock = run_identity(loaded, model, model_identity=identity, data_digest=dataset.digest)
        run = Run(home.runs_folder / run_id)
        planned.append((model, run, lock, is_complete(run)))
    refuse_wrong_options(loaded, {model.title for model, *_, complete in planned if not complete})
    for model, run, lock, complete in planned:
        run_id = run.id
        if complete:
            changed = renew_waivers(run, loaded.waivers)
            event = "waivers_changed" if changed else "run_unchanged"
            listener({"event": event, "run": run_id, "model": model.title})
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
    return [run for _, run, *_ in planned]


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
        write_run(
            self.run,
            self._new_header(),
            self.lock,
            audit=self._audit,
            listener=self.listener,
            documents=self.documents,
        )

    def _audit(self, header: RunHeader, events: Listener) -> Results:
        subject = self.resolver.subject(self.model, events)
        plan = make_plan(self.loaded, self.model, subject)
        plan, errors = TaskRunner(self.run, subject, header, events).work_off(plan)
        measurements, errors = self._summarise(plan, subject, errors, events)
        spec = self.loaded.spec
        verdicts = judge(
            plan, measurements, errors, spec.policy, self.run, data_digest=subject.dataset.digest
        )
        results = Results(
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
        return attach(results, self.loaded.waivers, model=self.model.title)

    def _summarise(
        self, plan: list[PlannedCheck], subject: Subject, errors: dict[str, str], events: Listener
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
                events({"event": "check_failed", "check": check.id, **told(error)})
                continue
            seconds = round(time.perf_counter() - start, 3)
            events({"event": "check_finished", "check": check.id, "seconds": seconds})
        write_evidence(
            self.run, {key: pl.concat(parts, how="diagonal_relaxed") for key, parts in tables.items()}
        )
        return measurements, failed

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
            spec_path=str(self.loaded.source.path),
            owner=spec.context.owner,
            purpose=spec.context.purpose,
            risk_class=spec.context.risk_class,
            **surroundings(),
        )


def _explained(error: Exception, run: Run) -> RaiauditError:
    if isinstance(error, RaiauditError):
        return error
    if isinstance(error, OSError):
        return storage_error(error, Path(error.filename) if isinstance(error.filename, str) else run.folder)
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        remedy = (
            "take a smaller model, batch or image, or a machine with more memory; finished tasks are kept"
        )
        return RaiauditError("there is not enough memory", where=run.id, remedy=remedy)
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
