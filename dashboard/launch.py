"""Starts the dashboard: a Streamlit server of our pages on 127.0.0.1, stopped with Ctrl-C.

The server is a child process (Streamlit wants to own its main thread); the home travels in
`RAIAUDIT_HOME`. Nothing outside this machine is contacted and no usage statistics are sent.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from raiaudit.dashboard.theme import streamlit_flags
from raiaudit.errors import RaiauditError, UsageError

__all__ = ["UP", "serve"]

UP = "RAIAUDIT_DASHBOARD_UP"
"""The environment variable that names the file by which the server says that its port is its own."""

DEFAULT_PORT = 8501
_LOOPBACK = "127.0.0.1"
_START_SECONDS = 60.0


def serve(home: Path, *, port: int | None = None, open_browser: bool = True) -> int:
    """Serve the runs under `home` until interrupted; returns the exit code (0 after Ctrl-C).

    Without `port` the first free one from 8501 on is taken. Raises `UsageError` if the port asked
    for is taken, `RaiauditError` if the server does not come up.
    """
    with TemporaryDirectory(prefix="raiaudit-") as scratch:
        return _serve(home, port, Path(scratch), open_browser=open_browser)


def _serve(home: Path, port: int | None, scratch: Path, *, open_browser: bool) -> int:
    chosen = _free_port(port)
    url = f"http://{_LOOPBACK}:{chosen}"
    up = scratch / f"up-{chosen}"
    script = str(Path(__file__).with_name("app.py"))
    command = [sys.executable, "-m", "raiaudit.dashboard.serving", "run", script]
    server = subprocess.Popen(
        [*command, *streamlit_flags(chosen)],
        env={**os.environ, "RAIAUDIT_HOME": str(home.resolve()), UP: str(up)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    previous = signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    try:
        if _wait_until_up(server, url, up):
            sys.stdout.write(f"Dashboard of {home.resolve()}\n  {url}\n  Ctrl-C stops it\n")
            sys.stdout.flush()
            if open_browser:
                webbrowser.open(url)
        code = server.wait()
    except KeyboardInterrupt:
        code = 0
    except _PortLostError:
        # Another server took it between our look and our child's; with a port of our choice, look again.
        return _serve(home, port, scratch, open_browser=open_browser)
    finally:
        _stop(server)
        signal.signal(signal.SIGTERM, previous)
    return 0 if code == -signal.SIGTERM else code


def _free_port(asked: int | None) -> int:
    candidates = [asked] if asked is not None else [*range(DEFAULT_PORT, DEFAULT_PORT + 20), 0]
    for candidate in candidates:
        if (port := _bindable(candidate)) is not None:
            return port
    raise UsageError(
        "the port is taken",
        where=f"{_LOOPBACK}:{asked}",
        remedy="choose another with --port, or leave --port out: a free one is found",
    )


def _bindable(candidate: int) -> int | None:
    """The port itself, for 0 any free one; None where it is taken."""
    with socket.socket() as probe:
        # As the server will: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_LOOPBACK, candidate))
        except OSError:
            return None
        return int(probe.getsockname()[1])


class _PortLostError(Exception):
    """The server could not have its port."""


def _wait_until_up(server: subprocess.Popen[bytes], url: str, up: Path) -> bool:
    """True once this server answers, False if it was stopped first; raises if it failed.

    An answer alone could be another server's: `up` is there once the port is this one's.
    """
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if (code := server.poll()) is not None:
            if code == -signal.SIGTERM:
                return False
            if not up.exists() and _bindable(urlsplit(url).port or 0) is None:
                raise _PortLostError
            break
        if up.exists() and _answers(url):
            return True
        time.sleep(0.05)
    raise RaiauditError(
        "the dashboard's server did not start",
        where=url,
        remedy="see the lines above; `python -m streamlit hello` shows whether Streamlit itself works",
    )


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(timeout=5)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
