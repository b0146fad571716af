"""Progress that is shown while an audit runs, and the Ctrl-C that must not be lost meanwhile."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from raiaudit.cli.progress import watch

FINISHED: dict[str, Any] = {
    "event": "task_finished",
    "check": "c",
    "task": "t",
    "done": 1,
    "tasks": 2,
    "seconds": 0.1,
}


@pytest.fixture
def heeded() -> Iterator[None]:
    """Ctrl-C as a terminal's process takes it, though the tests may have been started to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
def test_an_interrupt_that_was_swallowed_counts_at_the_next_task() -> None:
    before = signal.getsignal(signal.SIGINT)
    with watch(as_json=True) as listener:
        listener(FINISHED)
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        listener({"event": "run_failed", "error": "said while the run is left"})
        with pytest.raises(KeyboardInterrupt):
            listener(FINISHED)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("heeded")
def test_who_was_started_to_ignore_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with watch(as_json=True) as listener:
        os.kill(os.getpid(), signal.SIGINT)
        listener(FINISHED)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    assert "task_finished" in capsys.readouterr().out
