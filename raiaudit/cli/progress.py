"""What a person or a program sees while an audit runs: bars on a terminal, lines in a log, JSON events."""

from __future__ import annotations

import json
import signal
import sys
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TextIO

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from raiaudit.audit.journal import Event, Listener

__all__ = ["watch"]

_AT_WORK = ("task_finished", "training")


@contextmanager
def watch(*, as_json: bool, aside: bool = False) -> Iterator[Listener]:
    """A listener for the runner's events; `aside` shows people's lines on standard error.

    Ctrl-C that a library swallowed (extensions may, inside a callback) counts at the next task or epoch.
    """
    stream = sys.stderr if aside else sys.stdout
    with _pressed() as pressed, _shown(stream, as_json=as_json) as show:

        def listen(event: Event) -> None:
            show(event)
            if pressed and event["event"] in _AT_WORK:
                raise KeyboardInterrupt

        yield listen


@contextmanager
def _shown(stream: TextIO, *, as_json: bool) -> Iterator[Listener]:
    if as_json:
        from raiaudit.audit.journal import now

        yield lambda event: typer.echo(json.dumps({"time": now(), **event}))
    elif stream.isatty():
        with _bars(stream) as listener:
            yield listener
    else:
        yield partial(_line, stream)


@contextmanager
def _pressed() -> Iterator[list[int]]:
    """Holds the SIGINT that arrived, besides raising `KeyboardInterrupt`.

    Only the main thread may ask for it, and who was started to ignore it (`nohup`) goes on doing so.
    """
    arrived: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        yield arrived
        return

    def note(number: int, frame: FrameType | None) -> None:
        arrived.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield arrived
    finally:
        signal.signal(signal.SIGINT, before)


def _line(stream: TextIO, event: Event) -> None:
    text = _describe(event)
    if text is not None:
        print(text, file=stream, flush=True)  # CI shows it at once


def _describe(event: Event) -> str | None:
    """One line for events that are worth one."""
    kind = event["event"]
    if kind == "training":
        every = max(1, event["epochs"] // 5)
        if event["epoch"] % every and event["epoch"] != event["epochs"]:
            return None
        return f"  {event['model']}: epoch {event['epoch']}/{event['epochs']}, loss {event['loss']:.4f}"
    if kind == "task_finished":
        return (
            f"  [{event['done']}/{event['tasks']}] {event['check']} {event['task']}  {event['seconds']:.1f} s"
        )
    if kind == "run_failed":  # the whole message follows at the end
        return f"{event['model']}: FAILED: {event['error'].splitlines()[0][:160]}"
    templates = {
        "run_started": "{model}: {run}",
        "run_unchanged": "{model}: nothing to do, {run} is complete",
        "waivers_changed": "{model}: {run} is complete; the waivers have changed",
        "trained": "  {model}: trained, version {version}, validation accuracy {validation_accuracy:.3f}",
        "plan": "  {tasks} tasks, {done} already done",
        "task_failed": "  FAILED {check} {task}: {error}",
        "check_failed": "  FAILED {check}: {error}",
        "run_finished": "  verdict: {verdict}",
        "note": "  {text}",
    }
    return templates[kind].format(**event) if kind in templates else None


@contextmanager
def _bars(stream: TextIO) -> Iterator[Listener]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[doing]}"),
    )
    with Progress(*columns, console=Console(file=stream)) as progress:
        bars: dict[str, TaskID] = {}

        def bar(name: str, total: int) -> TaskID:
            if name not in bars:
                bars[name] = progress.add_task(escape(name), total=total, doing="")
            return bars[name]

        model = ""

        def listen(event: Event) -> None:
            nonlocal model
            kind = event["event"]
            model = event.get("model", model)
            if kind == "training":
                chosen = bar(f"train {event['model']}", event["epochs"])
                progress.update(chosen, completed=event["epoch"], doing=f"loss {event['loss']:.4f}")
            elif kind == "plan":
                progress.update(bar(f"audit {model}", event["tasks"]), completed=event["done"])
            elif kind == "task_finished":
                doing = f"{event['check']} {event['task']}"
                progress.update(bar(f"audit {model}", event["tasks"]), completed=event["done"], doing=doing)
            elif kind not in ("run_started", "trained", "run_finished") and (text := _describe(event)):
                progress.console.print(escape(text), highlight=False)

        yield listen
