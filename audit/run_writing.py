"""A run directory from whatever state it is in to a sealed one; what stops it on the way is written down.

Who audits what is the caller's: a model with its checks, or a file of predictions.
"""

from __future__ import annotations

import platform
import time
import traceback
from importlib.metadata import version
from typing import TYPE_CHECKING

import yaml

from raiaudit.audit.files import write_atomically
from raiaudit.audit.journal import journalled, now
from raiaudit.audit.ledger import parquet_bytes
from raiaudit.audit.task_runner import message_of
from raiaudit.errors import RaiauditError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    import polars as pl

    from raiaudit.audit.journal import Listener
    from raiaudit.audit.results import Results, RunHeader
    from raiaudit.audit.store import Run

    Documents = Callable[[Run], object]
    Audit = Callable[[RunHeader, Listener], Results]

__all__ = ["is_complete", "surroundings", "write_evidence", "write_run"]

_NOTED = ("raiaudit", "torch", "numpy", "polars", "opacus", "dp-accounting", "foolbox")


def is_complete(run: Run) -> bool:
    """Whether nothing is left to do: finished, and every file still as it was sealed."""
    try:
        return run.finished and not run.broken_seals()
    except RaiauditError:
        return False


def surroundings() -> dict[str, Any]:
    """What a header says of the machine and of the libraries."""
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _NOTED}},
        "machine": f"{platform.system()} {platform.machine()}",
    }


def write_run(
    run: Run,
    header: RunHeader,
    lock: Mapping[str, Any],
    *,
    audit: Audit,
    listener: Listener,
    documents: Documents,
) -> None:
    """Lock, header, journal; what `audit` finds; its documents; the seal. The caller holds the run's lock.

    `audit` gets the header to write progress into and whom to tell of events. What it raises is raised
    again, with the run left as `failed`, or `interrupted` by the user.
    """
    started = time.perf_counter()
    for debris in run.folder.rglob(".part-*"):
        debris.unlink()
    events = journalled(run.folder / "journal.jsonl", listener)
    text = yaml.safe_dump(dict(lock), sort_keys=False, allow_unicode=True)
    write_atomically(run.folder / "spec.lock.yaml", text)
    run.write_header(header)
    events({"event": "run_started", "run": run.id, "model": header.model})
    try:
        results = audit(header, events)
        _conclude(run, results, header, time.perf_counter() - started, events, documents)
    except KeyboardInterrupt:
        _stop(run, header, events, "interrupted", "stopped by the user")
        raise
    except RaiauditError as error:
        _stop(run, header, events, "failed", str(error))
        raise
    except Exception as error:
        _stop(run, header, events, "failed", message_of(error), "".join(traceback.format_exception(error)))
        raise


def write_evidence(run: Run, tables: Mapping[tuple[str, str], pl.DataFrame]) -> None:
    """Tables by check and name, as `evidence/<check>/<name>.parquet`."""
    for (check, name), table in tables.items():
        write_atomically(run.folder / "evidence" / check / f"{name}.parquet", parquet_bytes(table))


def _conclude(
    run: Run, results: Results, header: RunHeader, seconds: float, events: Listener, documents: Documents
) -> None:
    write_atomically(run.folder / "results.json", results.model_dump_json(indent=2) + "\n")
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
    run.write_header(done)
    documents(run)
    events({"event": "run_finished", "run": run.id, "verdict": results.verdict})
    run.seal()


def _stop(
    run: Run, header: RunHeader, events: Listener, status: str, message: str, details: str = ""
) -> None:
    run.write_header(header.model_copy(update={"status": status, "error": message, "finished": now()}))
    events({"event": "run_stopped", "run": run.id, "status": status, "error": message, "details": details})
