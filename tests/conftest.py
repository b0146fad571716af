"""Fixtures every room's tests share."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

# Workers share the cores: threads of torch would only wait for each other. Read when torch is first imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def data_home() -> Path:
    """The folder with the official data sets; tests that need it skip where there is none."""
    home = Path(os.environ.get("RAIAUDIT_DATA") or _BESIDE_THE_CHECKOUT)
    if not home.is_dir():
        pytest.skip("the official data sets are not on this machine (set RAIAUDIT_DATA to their folder)")
    return home


class Answering:
    """An HTTP server on 127.0.0.1 that answers POSTs with `reply(body, request number from 0)`.

    A reply is JSON data, or (status, headers, bytes). `bodies` and `headers` hold what was asked.
    It hangs up after every answer, unannounced, while `hangs_up`; it waits `pause` seconds between the
    bytes of an answer.
    """

    hangs_up = False
    pause = 0.0

    def __init__(self, reply: Callable[[Any, int], Any]) -> None:
        self.reply = reply
        self.bodies: list[Any] = []
        self.headers: list[dict[str, str]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.bodies.append(body)
                server.headers.append(dict(self.headers))
                given = server.reply(body, len(server.bodies) - 1)
                if not isinstance(given, tuple):
                    given = (200, {"Content-Type": "application/json"}, json.dumps(given).encode())
                status, headers, content = given
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                with suppress(OSError):  # who asked may be gone
                    for part in (
                        (content[i : i + 1] for i in range(len(content))) if server.pause else [content]
                    ):
                        self.wfile.write(part)
                        time.sleep(server.pause)
                self.close_connection = self.close_connection or server.hangs_up

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/predict"
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def asked(self) -> int:
        """Inputs in all requests."""
        return sum(len(body["inputs"]) for body in self.bodies)

    def stop(self) -> None:
        """Refuse connections from now on."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[Any, int], Any]], Answering]]:
    """(reply) → a running server; stopped at the end of the test."""
    started: list[Answering] = []

    def start(reply: Callable[[Any, int], Any]) -> Answering:
        started.append(Answering(reply))
        return started[-1]

    yield start
    for server in started:
        server.stop()
