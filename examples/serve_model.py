"""A model of the registry behind HTTP, for `examples/endpoint.yaml`: the protocol in forty lines.

python examples/serve_model.py digits-cnn [PORT]
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch

from raiaudit.audit.store import Home
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.registry import Registry


def scores(classifier: Classifier, inputs: list[Any]) -> list[list[float]]:
    """Probabilities for images as nested lists."""
    with torch.inference_mode():
        probabilities: list[list[float]] = classifier(torch.tensor(inputs)).softmax(1).tolist()
    return probabilities


def serve(classifier: Classifier, port: int) -> ThreadingHTTPServer:
    """A server on this machine alone; `serve_forever` starts it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # keeps the connection open from one question to the next
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            content = json.dumps({"scores": scores(classifier, body["inputs"])}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Nothing: there are thousands of questions."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


if __name__ == "__main__":
    model = Registry.open(Home.at(None).root).load(sys.argv[1])
    serve(model.classifier, int(sys.argv[2]) if len(sys.argv) > 2 else 9000).serve_forever()
