"""Members dealt out to processes, each with its share of the cores.

A process is `python -m …ensemble.worker`, not a fork (torch's threads do not survive one) and not a spawned
copy of the caller (whose main module may be a notebook or have no guard). The job is written once: its arrays
as files that all processes map, so that the data are in memory once. A process leaves its finished members in
a folder; when one dies the others are stopped, and what is finished stays.

Lines to a process: `time K`, `train K`, `train K brief`. From it, JSON: {"ready"}, {"seconds"}, {"trained"},
{"finished"}, {"failed"}.
"""

from __future__ import annotations

import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from raiaudit.errors import RaiauditError

if TYPE_CHECKING:
    from types import TracebackType

    from raiaudit.models.training.ensemble.member import Job

__all__ = ["MARK", "Workers", "cores", "read_job", "write_job"]

MARK = "raiaudit-ensemble "
"""Begins every line a process means for us; libraries may print, too."""

_HEAD = "job.pickle"


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Workers:
    """`count` processes with one job; a context, at whose end they are gone. `folder` gets the members."""

    def __init__(self, job: Job, count: int, folder: Path) -> None:
        self.count = count
        self._room = TemporaryDirectory(prefix="raiaudit-ensemble-")
        room = Path(self._room.name)
        folder.mkdir(parents=True, exist_ok=True)
        write_job(job, room)
        threads = max(1, cores() // count)
        limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        path = {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
        self._errors = [room / f"errors-{number}.txt" for number in range(count)]
        self._heard: queue.Queue[tuple[int, dict[str, Any] | None]] = queue.Queue()
        self._processes = []
        for number, errors in enumerate(self._errors):
            with errors.open("wb") as stderr:
                process = subprocess.Popen(
                    [
                        sys.executable,
                        "-m",
                        "raiaudit.models.training.ensemble.worker",
                        str(room),
                        str(folder),
                        str(number),
                        str(count),
                    ],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    text=True,
                    env={**os.environ, **limits, **path},
                )
            self._processes.append(process)
            assert process.stdout is not None
            threading.Thread(target=self._listen, args=(number, process.stdout), daemon=True).start()

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()
        self._room.cleanup()

    def wait(self) -> None:
        """Until every process has read the job."""
        self._collect("ready")

    def seconds(self, pack: int) -> float:
        """Of one step of one member in a process, while all of them compute: their mean."""
        self._tell(f"time {pack}")
        return sum(self._collect("seconds")) / self.count

    def train(self, pack: int, trained: Callable[[int], None] | None = None, *, brief: bool = False) -> None:
        """Train all members, `pack` at a time in each process; reports the numbers as they finish."""
        self._tell(f"train {pack} brief" if brief else f"train {pack}")
        self._collect("finished", trained)

    def _tell(self, line: str) -> None:
        for process in self._processes:
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # a dead process is reported by its silence
                process.stdin.write(line + "\n")
                process.stdin.flush()

    def _collect(self, wanted: str, trained: Callable[[int], None] | None = None) -> list[float]:
        answers: list[float] = []
        while len(answers) < self.count:
            number, message = self._heard.get()
            if message is None:
                self._refuse_death(number)
            elif "failed" in message:
                raise RaiauditError(message["failed"], where=message["where"], remedy=message["remedy"])
            elif wanted in message:
                answers.append(float(message[wanted]))
            elif trained is not None and "trained" in message:
                trained(int(message["trained"]))
        return answers

    def _listen(self, number: int, lines: IO[str]) -> None:
        for line in lines:
            if line.startswith(MARK):
                self._heard.put((number, json.loads(line.removeprefix(MARK))))
        self._heard.put((number, None))

    def _refuse_death(self, number: int) -> None:
        code = self._processes[number].wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        said = self._errors[number].read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise RaiauditError(
            f"a training process of the ensemble ended before its time ({how})"
            + (f": {said[-1]}" if said else ""),
            where=f"process {number + 1} of {self.count}",
            remedy="run it again: finished members are kept; if memory ran out, train them serially",
        )


def write_job(job: Job, room: Path) -> None:
    """Pickled, with every array in a file of its own."""
    splits = {name: job.dataset.splits[name] for name in ("train", "validation")}
    plain = replace(job, dataset=replace(job.dataset, splits=splits))
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(plain, protocol=5, buffer_callback=buffers.append)
    for number, buffer in enumerate(buffers):
        (room / f"{number}.bin").write_bytes(buffer.raw())
    (room / _HEAD).write_bytes(head)


def read_job(room: Path) -> Job:
    """The job that this machinery itself wrote; its arrays are mapped, not read."""
    files = sorted(room.glob("*.bin"), key=lambda file: int(file.stem))
    buffers = [
        # Copy on write: torch wants arrays it may write to, and nothing writes.
        np.memmap(file, mode="c") if file.stat().st_size else np.empty(0, np.uint8)
        for file in files
    ]
    job: Job = pickle.loads((room / _HEAD).read_bytes(), buffers=buffers)
    return job
