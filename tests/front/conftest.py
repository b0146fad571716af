"""The command line as a person or a pipeline uses it: real processes, tiny audits."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

TINY = """\
data: {name: digits}
models:
  - name: tiny
    recipe: {architecture: mlp, options: {hidden: 32}, epochs: 1, train_limit: 200}
run: {seed: 3, device: cpu}
checks:
  - use: performance.accuracy
    gate: {metric: accuracy, min: 0}
  - use: robustness.evasion
    with: {norm: linf, eps: [0.05, 0.1], steps: 10, shard: 25}
    gate: {metric: robust_accuracy, where: {eps: 0.1}, max: 1}
"""

Done = subprocess.CompletedProcess[str]
State = dict[str, tuple[int, str]]


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(frozen=True)
class Cli:
    """`raiaudit` in a folder, with its state there unless `--home` says otherwise."""

    folder: Path

    def environment(self) -> dict[str, str]:
        """One thread, so that sums have one order; nothing of the developer's own settings."""
        ours = ("RAIAUDIT_HOME", "MLFLOW_TRACKING_URI")
        kept = {name: value for name, value in os.environ.items() if name not in ours}
        return {**kept, "OMP_NUM_THREADS": "1", "COLUMNS": "120", "NO_COLOR": "1"}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A running command, which heeds Ctrl-C though the tests may have been started to ignore it."""
        return subprocess.Popen(
            [sys.executable, "-m", "raiaudit", *arguments],
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_heed_interrupts,
        )

    def __call__(self, *arguments: str) -> Done:
        """A command that has ended; never a traceback."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300)
        assert "Traceback" not in err, err
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def python(self, code: str) -> Done:
        """A program in the same surroundings."""
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    def spec(self, text: str, name: str = "audit.yaml") -> str:
        """Write a spec; its name."""
        (self.folder / name).write_text(text)
        return name

    def only_run(self, home: str = ".raiaudit") -> Path:
        """The one run directory of a home."""
        (folder,) = (self.folder / home / "runs").iterdir()
        return folder

    def wait_for_shards(self, process: subprocess.Popen[str], n: int, home: str = ".raiaudit") -> None:
        """Return as soon as the ledger holds `n` shards."""
        deadline = time.monotonic() + 240
        while len(list((self.folder / home / "runs").glob("*/ledger/robustness.evasion/*.parquet"))) < n:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.005)


@pytest.fixture(scope="session")
def tiny() -> str:
    """A spec that trains in a moment and passes its gates, whatever the model."""
    return TINY


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A folder of the module's own."""
    return Cli(tmp_path_factory.mktemp("cli"))


@pytest.fixture
def fresh(tmp_path: Path) -> Cli:
    """A folder of the test's own."""
    return Cli(tmp_path)


@pytest.fixture(scope="session")
def state_of() -> Callable[[Path], State]:
    """Path → modification time and sha256 of every file in a folder."""

    def state(folder: Path) -> State:
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        return {
            path.relative_to(folder).as_posix(): (
                path.stat().st_mtime_ns,
                hashlib.sha256(path.read_bytes()).hexdigest(),
            )
            for path in files
        }

    return state
