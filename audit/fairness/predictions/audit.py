"""The audit of a file of predictions: counted, asked, judged; as numbers alone or as a run like any other.

The run's subject is the file: no model is seen, no ledger of examples is kept. Its id is the hash of the
bytes and of everything asked, so that the same question is answered once.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from raiaudit.audit.fairness.counting.tally import Tally
from raiaudit.audit.fairness.predictions.cards import data_card, file_name, subject_card
from raiaudit.audit.fairness.predictions.files import digest_of, explained
from raiaudit.audit.fairness.predictions.gates import check_of
from raiaudit.audit.fairness.predictions.questions import answered, planned
from raiaudit.audit.fairness.predictions.rows import read_predictions
from raiaudit.audit.gates import overall
from raiaudit.audit.journal import now
from raiaudit.audit.judgement import judge
from raiaudit.audit.lock import run_lock
from raiaudit.audit.model_spec import as_name
from raiaudit.audit.results import CheckOutcome, Results, RunHeader
from raiaudit.audit.run_writing import is_complete, surroundings, write_evidence, write_run
from raiaudit.audit.spec import Policy
from raiaudit.audit.store import Run
from raiaudit.audit.task_runner import message_of, told
from raiaudit.errors import UnknownNameError, UsageError
from raiaudit.models.names import PREDICTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import polars as pl

    from raiaudit.audit.fairness.predictions.options import PredictionOptions
    from raiaudit.audit.fairness.predictions.rows import PredictionRows
    from raiaudit.audit.gates import Gate
    from raiaudit.audit.journal import Listener
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.plan import PlannedCheck
    from raiaudit.audit.store import Home

__all__ = ["PredictionAudit"]

_LARGE = 50_000_000


@dataclass(frozen=True, slots=True)
class PredictionAudit:
    """Files whose columns have been looked at, and what is asked of them."""

    paths: tuple[Path, ...]
    options: PredictionOptions
    rows: PredictionRows
    digest: str
    plan: tuple[PlannedCheck, ...]

    @classmethod
    def of(cls, paths: Sequence[Path], options: PredictionOptions, listener: Listener) -> PredictionAudit:
        """Look at the files. Raises `UsageError` kinds for what cannot be audited as it is."""
        size = sum(path.stat().st_size for path in paths)
        if size > _LARGE:
            listener(_note(f"reading {size / 1e9:.1f} GB in {len(paths)} files"))
        rows = read_predictions(paths, options)
        positive = None if rows.positive is None else rows.classes[rows.positive]
        return cls(tuple(paths), options, rows, digest_of(paths), tuple(planned(options, positive)))

    @property
    def lock(self) -> dict[str, Any]:
        """All that decides the results, with every default written out."""
        return {
            "apiVersion": "raiaudit/v1",
            "kind": "Predictions",
            "files": [path.name for path in self.paths],
            "options": self.options.model_dump(mode="json", exclude_none=True),
            "checks": [
                {"use": one.check.id, "with": one.config.model_dump(mode="json")} for one in self.plan
            ],
            "resolved": {
                "data_digest": self.digest,
                "check_versions": {one.check.id: one.check.version for one in self.plan},
            },
        }

    @property
    def run_id(self) -> str:
        """Equal audits share it."""
        digest = hashlib.sha256(json.dumps(self.lock, sort_keys=True).encode()).hexdigest()
        return f"predictions-{as_name(self.options.title)}-{digest[:10]}".lower()

    def run(self, home: Home, *, command: str, listener: Listener, documents: Callable[[Run], object]) -> Run:
        """Audit into a run directory, or do nothing where the same audit is complete.

        `command` is what a person would type to repeat it; `documents` writes the reports.
        """
        run = Run(home.runs_folder / self.run_id)
        if is_complete(run):
            listener({"event": "run_unchanged", "run": run.id, "model": self.options.title})
            return run

        def audit(header: RunHeader, events: Listener) -> Results:
            results, evidence = self.results(run, events)
            write_evidence(run, evidence)
            return results

        with run_lock(run.folder):
            header = self._header(run.id, command)
            write_run(run, header, self.lock, audit=audit, listener=listener, documents=documents)
        return run

    def results(self, run: Run, listener: Listener) -> tuple[Results, dict[tuple[str, str], pl.DataFrame]]:
        """Count, ask, judge; `run` need not exist. Returns the tables of evidence too."""
        options, start = self.options, time.perf_counter()
        with explained(self.paths[0]):
            tally = Tally.of(
                self.rows.frame,
                attributes=options.groups,
                classes=self.rows.classes,
                positive=self.rows.positive,
            )
        seconds = time.perf_counter() - start
        listener(_note(f"{tally.total:,} rows counted in {seconds:.1f} s: {tally.table.height:,} cells"))
        answers = self._ask(tally, listener)
        everything = [m for answer in answers.values() for m in answer.measurements]
        errors = {check: answer.error for check, answer in answers.items() if answer.error is not None}
        places = [(self._place(gate, answers), gate) for gate in options.gates]
        plan = [
            replace(one, gates=tuple(gate for check, gate in places if check == one.check.id))
            for one in self.plan
        ]
        verdicts = judge(plan, everything, errors, Policy(), run, data_digest=self.digest)
        results = Results(
            run=run.id,
            verdict=overall(verdicts),
            partial=False,
            subject=subject_card(options, self.rows, tally, self.digest),
            data=data_card(self.paths, self.rows, tally, self.digest),
            seed=options.seed,
            checks=tuple(_outcome(one, errors.get(one.check.id)) for one in plan),
            measurements=tuple(everything),
            verdicts=tuple(verdicts),
        )
        tables = {
            (check, name): t for check, answer in answers.items() for name, t in answer.evidence.items()
        }
        return results, tables

    def _ask(self, tally: Tally, listener: Listener) -> dict[str, _Answer]:
        """Every question by its check; a defect in one must not cost the others."""
        answers = {}
        for one in self.plan:
            start, check = time.perf_counter(), one.check.id
            if one.reason is not None:
                continue
            try:
                answers[check] = _Answer(*answered(one, tally, self.options.seed))
            except UsageError:
                raise
            except Exception as error:
                answers[check] = _Answer([], {}, message_of(error))
                listener({"event": "check_failed", "check": check, **told(error)})
                continue
            seconds = round(time.perf_counter() - start, 3)
            listener({"event": "check_finished", "check": check, "seconds": seconds})
        return answers

    def _place(self, gate: Gate, answers: Mapping[str, _Answer]) -> str:
        """The check a gate is about; one that failed, or could not run, may have measured it."""
        failed = [one.check.id for one in self.plan if one.reason or answers[one.check.id].error]
        try:
            return check_of(gate, {check: answer.measurements for check, answer in answers.items()})
        except UnknownNameError:
            if failed:
                return failed[0]
            raise

    def _header(self, run_id: str, command: str) -> RunHeader:
        return RunHeader(
            id=run_id,
            suite=run_id,
            model=self.options.title,
            data=file_name(self.paths),
            modality=PREDICTIONS,
            status="running",
            started=now(),
            command=command,
            **surroundings(),
        )


class _Answer(NamedTuple):
    """Findings, or why there are none."""

    measurements: Sequence[Measurement]
    evidence: Mapping[str, pl.DataFrame]
    error: str | None = None


def _outcome(one: PlannedCheck, error: str | None) -> CheckOutcome:
    config, check, reason = one.config.model_dump(mode="json"), one.check, one.reason or error
    status: Literal["ran", "not_run", "error"] = "not_run" if one.reason else "error" if error else "ran"
    return CheckOutcome(check=check.id, question=check.question, status=status, reason=reason, config=config)


def _note(text: str) -> dict[str, Any]:
    return {"event": "note", "text": text}
