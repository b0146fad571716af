"""Starting, stopping and taking up again: the only writing the dashboard does.

Architecture has it that the dashboard reads and that whoever writes goes through a service with a login.
There is no such service on a laptop, and somebody who may open this page on 127.0.0.1 may run `raiaudit`
there anyway. So the page may do what that person could type, and no more: it writes one spec under
`HOME/specs/` (never over another), and starts `raiaudit` on it as a child process, never with `--unsafe-
load`. The audit itself is written by that process. Whether a page may do even this is
`raiaudit.dashboard.new_audit.local`'s.

The audit outlives this server: a stopped dashboard costs nobody hours of training, and any later dashboard
on the same home shows it and can stop it. One job runs at a time in a home: two would train more slowly
than one after the other.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from raiaudit.audit.files import storage_error, write_atomically
from raiaudit.audit.journal import now
from raiaudit.audit.lock import run_lock
from raiaudit.audit.model_spec import as_name
from raiaudit.dashboard.jobs.job import Job, JobKind, JobRecord, list_jobs
from raiaudit.dashboard.jobs.process import ProcessId, signal_group, spawn
from raiaudit.errors import StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from raiaudit.audit.spec import LoadedSpec
    from raiaudit.audit.store import Home

__all__ = ["cancel", "command_of", "job_environment", "resume", "spec_path", "start"]

# What a child process needs of the environment; what else is in it is none of its business.
_PASSED = frozenset(
    {
        "PATH",
        "HOME",
        "USER",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "PYTHONPATH",
        "PYTHONUTF8",
        "VIRTUAL_ENV",
        "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "CUDA_VISIBLE_DEVICES",
        "CUBLAS_WORKSPACE_CONFIG",
        "XDG_CACHE_HOME",
        "CC",
        "CXX",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
    }
)
_PASSED_PREFIXES = ("RAIAUDIT_", "MLFLOW_", "LC_", "OMP_", "MKL_", "OPENBLAS_", "TORCH", "NUMBA_", "POLARS_")


def spec_path(home: Home, name: str, text: str) -> Path:
    """Where a spec of that name and text lies, or would: `HOME/specs/NAME.yaml`, never another's file."""
    stem = as_name(name)
    folder = home.root / "specs"
    for number in range(1, 10_000):
        path = folder / f"{stem if number == 1 else f'{stem}-{number}'}.yaml"
        if not os.path.lexists(path) or (not path.is_symlink() and _holds(path, text)):
            return path
    raise StorageError("too many specs of this name", where=str(folder), remedy="choose another name")


def start(
    home: Home,
    kind: JobKind,
    loaded: LoadedSpec,
    text: str,
    *,
    expected: tuple[float, float] | None = None,
    most: int = 1,
) -> Job:
    """Write the spec that was validated as `loaded`, and run it. `expected`: seconds it may take, from, to.

    Raises `UsageError` while `most` jobs run, `StorageError` if something cannot be written or is a link.
    """
    path = loaded.source.path
    specs = _own_folder(home, "specs")
    assert path.parent == specs, path
    with _sole_starter(home, most):
        if path.is_symlink() or (path.exists() and not _holds(path, text)):
            raise StorageError(
                "another spec was written under this name meanwhile",
                where=str(path),
                remedy="press the button again: it gets a name of its own",
            )
        write_atomically(path, text)
        models = tuple(model.title for model in loaded.spec.subjects)
        env = job_environment(loaded)
        record = JobRecord(
            kind=kind,
            title=loaded.name,
            spec=str(path),
            command=command_of(kind, home, path),
            models=models,
            created=now(),
            expected=expected,
        )
        return _launched(home, record, env)


def resume(home: Home, job: Job, loaded: LoadedSpec, *, most: int = 1) -> Job:
    """Run a job's spec again: finished tasks are not redone. `loaded` is its spec as it is now."""
    with _sole_starter(home, most):
        record = job.record.model_copy(
            update={
                "process": None,
                "created": now(),
                "expected": None,
                "command": command_of(job.record.kind, home, loaded.source.path),
            }
        )
        return _launched(home, record, job_environment(loaded))


def cancel(job: Job, *, at_once: bool = False) -> bool:
    """Ask a job to stop, as Ctrl-C does (what is finished is kept), or end it; False if it had ended."""
    if not job.alive:
        return False
    assert job.record.process is not None
    write_atomically(job.folder / "cancelled", now() + "\n")
    return signal_group(job.record.process, signal.SIGKILL if at_once else signal.SIGINT)


def command_of(kind: JobKind, home: Home, path: Path) -> tuple[str, ...]:
    """What is run: this Python, never a `raiaudit` that PATH happens to find; `-P`: no module from here."""
    verb = ("run", "--json") if kind == "audit" else ("models", "train", "--events")
    return (sys.executable, "-P", "-m", "raiaudit", *verb, "--home", str(home.root), "--", str(path))


def job_environment(loaded: LoadedSpec, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables a job gets: those it needs to run, and those that its spec names for an endpoint."""
    endpoints = [model.endpoint for model in loaded.spec.subjects if model.endpoint is not None]
    named = {variable for endpoint in endpoints for variable in endpoint.headers_env.values()}
    return {
        name: value
        for name, value in environment.items()
        if name in _PASSED or name in named or name.startswith(_PASSED_PREFIXES)
    }


def _launched(home: Home, record: JobRecord, env: Mapping[str, str]) -> Job:
    jobs = _own_folder(home, "jobs")
    folder = jobs / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
    try:
        folder.mkdir()
        _write(folder, record)  # should this server end now, the job shows as one that came to nothing
        process = spawn(record.command, env=env, out=folder / "events.jsonl", err=folder / "log.txt")
    except OSError as error:
        raise storage_error(error, folder) from error
    job = Job(folder, record.model_copy(update={"process": process}))
    _write(folder, job.record)
    # Waiting for a child is its parent's duty; a daemon thread does not keep the server from stopping.
    Thread(target=_await, args=(process, folder), daemon=True).start()
    return job


def _write(folder: Path, record: JobRecord) -> None:
    write_atomically(folder / "job.json", record.model_dump_json(indent=2) + "\n")


def _await(process: ProcessId, folder: Path) -> None:
    try:
        _, status = os.waitpid(process.pid, 0)
    except ChildProcessError:
        return
    code = os.waitstatus_to_exitcode(status)
    if folder.is_dir():
        write_atomically(folder / "exit.json", json.dumps({"code": code, "time": now()}) + "\n")


@contextmanager
def _sole_starter(home: Home, most: int) -> Iterator[None]:
    """Sessions start one after the other, so that each sees what the one before started."""
    folder = _own_folder(home, "jobs")
    with ExitStack() as stack:
        try:
            stack.enter_context(run_lock(folder))
        except StorageError:
            raise UsageError(
                "another one is being started at this moment", where=str(folder), remedy="try again"
            ) from None
        running = [job for job in list_jobs(home) if job.at_work]
        if len(running) >= most:
            raise UsageError(
                f"{running[0].record.title} is running",
                where=running[0].id,
                remedy="wait until it has finished, or cancel it",
            )
        yield


def _own_folder(home: Home, name: str) -> Path:
    """`HOME/name`, which must be a folder of its own and no link to elsewhere."""
    folder = home.root / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, folder) from error
    if folder.is_symlink():
        raise StorageError("this is a link", where=str(folder), remedy="make it a folder")
    return folder


def _holds(path: Path, text: str) -> bool:
    try:
        return path.is_file() and path.read_bytes() == text.encode()
    except OSError:
        return False
