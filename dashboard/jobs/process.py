"""A child process that outlives who started it, and how to know it again.

It gets a session of its own, so that Ctrl-C in the terminal of `raiaudit view` does not reach it and a signal
reaches its workers too. A process id alone proves nothing, for the kernel hands it out again: it is believed
only together with the time at which the process began (on Linux also the boot it belongs to).
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["SUPPORTED", "ProcessId", "signal_group", "spawn"]

SUPPORTED = os.name == "posix"
"""Whether processes can be started so here."""

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)


class ProcessId(BaseModel):
    """One process, not to be taken for a later one of the same number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int
    began: str

    @property
    def alive(self) -> bool:
        """Whether this very process still runs; one that ended but was not waited for does not."""
        return _began(self.pid) == self.began


def spawn(command: Sequence[str], *, env: Mapping[str, str], out: Path, err: Path) -> ProcessId:
    """Start `command`, whose first part is an absolute path; its output is appended to the two files.

    No shell is involved and nothing but standard input (empty), output and error is handed on. SIGINT is set
    to its default, for a server started with `nohup … &` ignores it and its children would inherit that.
    Raises `OSError`.
    """
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(out), _APPEND, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, str(err), _APPEND, 0o600),
    ]
    pid = os.posix_spawn(
        command[0],
        list(command),
        dict(env),
        file_actions=files,
        setsid=True,
        setsigdef=[signal.SIGINT, signal.SIGTERM],
        setsigmask=[],
    )
    return ProcessId(pid=pid, began=_began(pid) or "")


def signal_group(process: ProcessId, number: signal.Signals) -> bool:
    """Send a signal to the process and its workers; False if it has ended."""
    if not process.alive:
        return False
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
        return True
    return False


def _began(pid: int) -> str | None:
    """When process `pid` began, in words that only it has; None if it does not run."""
    if _BOOT.is_file():
        try:
            # The name, in parentheses, may hold anything; state is the first field behind it, start the 20th.
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else f"{_BOOT.read_text().strip()} {fields[19]}"
    listed = subprocess.run(
        ["/bin/ps", "-o", "state=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split(maxsplit=1)
    return None if len(listed) < 2 or listed[0].startswith("Z") else listed[1].strip()
