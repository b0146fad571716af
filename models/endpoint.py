"""A model behind an HTTP address: how a spec names it, and how it is asked.

One JSON request for a batch, `POST {"inputs": [...]}`, answered with status 200 and one entry an input:

    returns: scores   {"scores": [[0.1, 0.9], …]}   probabilities, in the data set's order of classes
    returns: labels   {"labels": ["cat", 0, …]}     a class's name, or its index from 0

An input is an image as nested lists C×H×W of numbers within the data set's bounds, a text as a string,
or a table row as an object: column name → number or level.

Naming the address in a spec is the consent to ask it. Only http and https are spoken, redirects are not
followed, proxies are not used. Secrets come from environment variables that the spec names; neither
they nor anything the server writes besides its answers gets into a message, for a server may echo them.

Errors: `UsageError` for a missing variable; `BatchFailedError` when a batch has no answer.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import ssl
import time
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from raiaudit.errors import UsageError
from raiaudit.models.answers import BatchFailedError, Returns

__all__ = ["PROTOCOL", "Endpoint", "EndpointClient"]

PROTOCOL = "raiaudit-json/1"

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OURS = frozenset({"accept-encoding", "connection", "content-length", "content-type", "host", "te"}) | {
    "transfer-encoding"
}
_MAYBE_LATER = frozenset({408, 425, 429})
_NEVER = frozenset({401, 402, 403, 404, 405, 407, 410, 411, 421, 501, 505, 511})
_LONGEST_PAUSE = 5.0
_LONGEST_ASKED_PAUSE = 60.0
_READ = 1 << 16


class Endpoint(BaseModel):
    """Where a black box listens, what it answers with, and how patient to be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(description="http:// or https://, without user, query or fragment")
    returns: Returns = Field(description="scores: probabilities of the classes; labels: the class alone")
    batch: int = Field(default=64, ge=1, le=65536, description="most inputs in one request")
    timeout: float = Field(default=10.0, gt=0, le=3600, description="seconds for one request")
    retries: int = Field(default=2, ge=0, le=10, description="further tries of a request that failed")
    headers_env: dict[str, str] = Field(
        default_factory=dict, description="header → environment variable that holds its value"
    )

    @model_validator(mode="after")
    def _holds_no_secret(self) -> Endpoint:
        # Not field validators: an error of those prints the value, which may be a secret.
        _refuse_url(self.url)
        for header, variable in self.headers_env.items():
            if not _TOKEN.fullmatch(header) or header.lower() in _OURS:
                raise ValueError("`headers_env`: a key is not the name of a header that can be set")
            if not _VARIABLE.fullmatch(variable):
                raise ValueError(
                    "`headers_env`: a value must be the name of an environment variable, not the secret"
                )
        return self


def _refuse_url(url: str) -> None:
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("`url` must be plain ASCII: percent-encode the rest")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("`url` is not an address such as https://models.example.org/predict") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError("`url` must begin with http:// or https://")
    if not parts.hostname or port == 0:
        raise ValueError("`url` names no host, or no port one can ask")
    if parts.username is not None or parts.password is not None:
        raise ValueError("`url` must not hold a user or password: use `headers_env`")
    if "?" in url or "#" in url:
        raise ValueError(
            "`url` must not have a query or a fragment, which may hold a secret: use `headers_env`"
        )


class EndpointClient:
    """Asks one endpoint over one connection, which it keeps open. `classes` bounds an answer's size."""

    def __init__(self, endpoint: Endpoint, *, classes: int) -> None:
        self.endpoint = endpoint
        self._classes = classes
        self._address = urlsplit(endpoint.url)
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": "raiaudit",
            **{header: _secret(variable) for header, variable in endpoint.headers_env.items()},
        }
        self._connection: http.client.HTTPConnection | None = None

    def __call__(self, items: Any) -> list[Any]:
        """One answer, not yet looked into, for each item. Raises `BatchFailedError`."""
        inputs = items.tolist() if hasattr(items, "tolist") else list(items)
        body = json.dumps({"inputs": inputs}, allow_nan=False).encode()
        key = self.endpoint.returns
        tries = self.endpoint.retries + 1
        for left in reversed(range(tries)):
            try:
                given = _parsed(self._post(body, len(inputs)))
                break
            except _FailedTryError as failure:
                self._close()
                if failure.final or not left:
                    count = f" ({tries} tries)" if not failure.final and tries > 1 else ""
                    raise BatchFailedError(f"{failure}{count}", hopeless=failure.hopeless) from None
                time.sleep(self._pause(tries - left, body, failure.pause))
        rows = given.get(key) if isinstance(given, dict) else None
        if not isinstance(rows, list):
            raise BatchFailedError(f'expected {{"{key}": [...]}}, got another JSON value')
        if len(rows) != len(inputs):
            raise BatchFailedError(f"expected {len(inputs)} {key}, one an input, got {len(rows)}")
        return rows

    def _post(self, body: bytes, count: int) -> bytes:
        deadline = time.monotonic() + self.endpoint.timeout
        reused = self._connection is not None
        connection = self._connection or self._connected()
        try:
            connection.request("POST", self._address.path or "/", body=body, headers=self._headers)
            sock = connection.sock  # http.client lets go of it when the server means to close
            response = connection.getresponse()
            _refuse_status(response)
            content = bytearray()
            limit = (1 << 20) + count * (64 * self._classes + 256)
            while part := response.read1(_READ):
                content += part
                if len(content) > limit:
                    raise _FailedTryError(f"an answer of more than {limit:,} bytes", final=True)
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                if sock is not None:
                    sock.settimeout(left)
            response.close()  # else the connection waits for more of an answer that `read1` has emptied
        except TimeoutError:
            raise _FailedTryError(f"no answer within {self.endpoint.timeout:g} s") from None
        except ConnectionError:
            self._close()
            if reused:  # a server may close an idle connection at any time: that is no failure
                return self._post(body, count)
            raise _FailedTryError("the server closed the connection without an answer") from None
        except (OSError, http.client.HTTPException) as error:
            raise _FailedTryError(f"not an HTTP answer ({type(error).__name__})") from None
        if response.will_close:
            self._close()
        elif sock is not None:
            sock.settimeout(self.endpoint.timeout)
        return bytes(content)

    def _connected(self) -> http.client.HTTPConnection:
        host, port, timeout = self._address.hostname or "", self._address.port, self.endpoint.timeout
        connection: http.client.HTTPConnection
        if self._address.scheme == "https":
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=timeout)
        try:
            connection.connect()
        except TimeoutError:
            raise _FailedTryError(f"no connection within {timeout:g} s", hopeless=True) from None
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise _FailedTryError(f"cannot connect: {reason}", hopeless=True) from None
        self._connection = connection
        return connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _pause(self, attempt: int, body: bytes, asked: float | None) -> float:
        """Seconds before the next try: doubling, spread by a hash of the request, bounded."""
        if asked is not None:
            return min(asked, _LONGEST_ASKED_PAUSE)
        digest = hashlib.blake2b(f"{self.endpoint.url} {attempt} ".encode() + body, digest_size=4).digest()
        spread = 0.5 + int.from_bytes(digest, "little") / 2**33
        return min(0.1 * 2.0 ** (attempt - 1), _LONGEST_PAUSE) * spread


class _FailedTryError(Exception):
    """`final`: trying again will not help; `hopeless`: no other input will; `pause`: seconds asked for."""

    def __init__(
        self, problem: str, *, final: bool = False, hopeless: bool = False, pause: float | None = None
    ) -> None:
        super().__init__(problem)
        self.final = final
        self.hopeless = hopeless
        self.pause = pause


def _refuse_status(response: http.client.HTTPResponse) -> None:
    status = response.status
    if 200 <= status < 300:
        return
    # The server's own words may echo a header: the standard's name of the status says as much.
    name = f"HTTP {status} {HTTPStatus(status).phrase}" if status in set(HTTPStatus) else f"HTTP {status}"
    if 300 <= status < 400:
        raise _FailedTryError(
            f"{name}: redirects are not followed, name the final address", final=True, hopeless=True
        )
    if status in _NEVER:
        raise _FailedTryError(name, final=True, hopeless=True)
    if status in _MAYBE_LATER or status >= 500:
        after = response.headers.get("Retry-After", "")
        raise _FailedTryError(name, pause=float(after) if re.fullmatch(r"\d{1,6}", after) else None)
    raise _FailedTryError(name, final=True)


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise _FailedTryError("the answer is not JSON") from None


def _secret(variable: str) -> str:
    value = os.environ.get(variable, "").strip()
    if not value or not value.isprintable() or not value.isascii():
        raise UsageError(
            f"the environment variable {variable} is not set, or is no header's value",
            where="endpoint.headers_env",
            remedy=f"export {variable}=… before running the audit",
        )
    return value
