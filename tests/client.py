"""An HTTP client as plain as the standard library's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode

NOTIFICATIONS = "/api/notifications"


class Response(NamedTuple):
    """An answer; `headers` have lower-case names."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.raw)


class Client:
    """A client of one server; not for several threads at once.

    As a context manager it keeps its connection from one request to the next; otherwise each
    request makes a new one, because a server may close what was idle for two seconds.
    """

    def __init__(self, port: int, timeout: float = 120.0) -> None:
        self.port, self._timeout = port, timeout
        self.key = ""  # what it comes in with, if anything
        self._kept: HTTPConnection | None = None

    def __enter__(self) -> Self:
        self._kept = self._connection()
        return self

    def __exit__(self, _type: type[BaseException] | None, _exc: object, _trace: TracebackType | None) -> None:
        if self._kept is not None:
            self._kept.close()

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """One request. Raises OSError where there is no answer; nothing is tried again."""
        connection = self._kept or self._connection()
        proof = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        try:
            connection.request(method, path, body, proof | dict(headers or {}))
            answer = connection.getresponse()
            return Response(answer.status, _joined(answer.getheaders()), answer.read())
        except (OSError, HTTPException) as error:
            connection.close()
            raise ConnectionError(f"{method} {path}: {error!r}") from error
        finally:
            if connection is not self._kept:
                connection.close()

    def get(self, path: str, **query: object) -> Response:
        """GET a path with a query."""
        return self.request("GET", f"{path}?{urlencode(query)}" if query else path)

    def post(self, path: str, document: object, **headers: str) -> Response:
        """POST a JSON document; headers are given as `idempotency_key=...`."""
        return self.send("POST", path, document, **headers)

    def send(self, method: str, path: str, document: object, **headers: str) -> Response:
        """A request with a JSON document."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request(method, path, json.dumps(document).encode(), {"Content-Type": "application/json"} | named)

    def notify(self, recipient: str, **more: object) -> Response:
        """POST an e-mail notification."""
        return self.post(NOTIFICATIONS, {"type": "email", "recipient": recipient, "message": "Hello", **more})

    def notification(self, id: int) -> Any:
        """A notification as JSON."""
        return self.get(f"{NOTIFICATIONS}/{id}").json

    def attempts(self, id: int) -> Any:
        """The attempts of a notification, first to last."""
        return self.get(f"{NOTIFICATIONS}/{id}/attempts").json["items"]

    def _connection(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=self._timeout)


def _joined(given: list[tuple[str, str]]) -> dict[str, str]:
    """By their names in lower case; those of the same name as one list (RFC 9110, 5.3)."""
    headers: dict[str, str] = {}
    for name, value in given:
        before = headers.get(name.lower())
        headers[name.lower()] = value if before is None else f"{before}, {value}"
    return headers
