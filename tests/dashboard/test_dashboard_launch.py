"""The server: loopback only, a free port, quiet, and gone after Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from raiaudit.dashboard import libraries
from raiaudit.dashboard.launch import serve
from raiaudit.dashboard.theme import streamlit_flags
from raiaudit.errors import UsageError

SERVE = """
import sys
from pathlib import Path
from raiaudit.dashboard.launch import serve
sys.exit(serve(Path(sys.argv[1]), port=None, open_browser=False))
"""


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield held.getsockname()[1]


def test_a_taken_port_is_a_usage_error_that_names_it(tmp_path: Path) -> None:
    with taken_port() as port, pytest.raises(UsageError, match=str(port)):
        serve(tmp_path, port=port, open_browser=False)


class Neighbour(BaseHTTPRequestHandler):
    """Another dashboard: it is in good health."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        pass


def test_a_port_that_another_took_a_moment_before_is_not_called_ours(tmp_path: Path) -> None:
    lost = (
        """
import sys
from raiaudit.dashboard import launch
look, first = launch._free_port, [int(sys.argv[2])]
launch._free_port = lambda asked: first.pop() if first else look(asked)
"""
        + SERVE
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), Neighbour) as neighbour:
        Thread(target=neighbour.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        port = neighbour.server_port
        server = subprocess.Popen(
            [sys.executable, "-c", lost, str(tmp_path), str(port)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout is not None
            server.stdout.readline()
            url = server.stdout.readline().strip()
            assert url.startswith("http://127.0.0.1:")
            assert not url.endswith(f":{port}")
            with urllib.request.urlopen(url, timeout=10) as answer:
                assert b"streamlit" in answer.read().lower()
        finally:
            server.terminate()
            server.wait(timeout=20)
            neighbour.shutdown()


def test_flags_bind_to_loopback_and_send_nothing() -> None:
    flags = streamlit_flags(8600)
    assert "--server.address=127.0.0.1" in flags
    assert "--server.port=8600" in flags
    assert "--browser.gatherUsageStats=false" in flags
    assert {"--server.enableXsrfProtection=true", "--server.enableCORS=true"} <= set(flags)
    assert "--server.enableAgentApi=false" in flags


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_stopped_and_leaves_no_process(tmp_path: Path, stop: signal.Signals) -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert server.stdout is not None
    assert str(tmp_path) in server.stdout.readline()
    found = re.search(r"http://127\.0\.0\.1:(\d+)", server.stdout.readline())
    assert found is not None
    with urllib.request.urlopen(f"{found[0]}/_stcore/health", timeout=10) as answer:
        assert answer.read() == b"ok"
    server.send_signal(stop)
    assert server.wait(timeout=20) == 0
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(found[0], timeout=5)


def test_pages_import_no_model_library() -> None:
    code = """
import sys
from raiaudit.dashboard.models import page as models
from raiaudit.dashboard.audits import overview
from raiaudit.dashboard.regulation import page as regulation
from raiaudit.dashboard.run import page
heavy = {"torch", "sklearn", "mlflow", "opacus", "numba"} & set(sys.modules)
sys.exit(", ".join(sorted(heavy)) or 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_two_sessions_import_libraries_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work, most = 0, 0

    def import_slowly(_name: str) -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        time.sleep(0.005)
        at_work -= 1

    monkeypatch.setattr(libraries, "import_module", import_slowly)
    sessions = [Thread(target=libraries.import_libraries) for _ in range(4)]
    for session in sessions:
        session.start()
    for session in sessions:
        session.join()
    assert most == 1


def test_a_foreign_page_is_refused_and_nobody_is_asked_who_we_are(tmp_path: Path) -> None:
    """Streamlit would ask the internet for our address before it refuses; its log would say so."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    server.stdout.readline()
    port = int(server.stdout.readline().rpartition(":")[2])

    def answer(origin: str, host: str) -> str:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as asking:
            lines = [
                "GET /_stcore/stream HTTP/1.1",
                f"Host: {host}",
                f"Origin: {origin}",
                "Upgrade: websocket",
                "Connection: Upgrade",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            ]
            asking.sendall("\r\n".join([*lines, "", ""]).encode())
            return asking.recv(64).decode().split()[1]

    ours = f"127.0.0.1:{port}"
    assert answer(f"http://{ours}", ours) == "101"
    assert answer("http://evil.example", ours) == "403"
    assert answer(f"http://evil.example:{port}", f"evil.example:{port}") == "403"
    server.send_signal(signal.SIGINT)
    assert "external IP" not in server.communicate(timeout=20)[1]
