"""HTTP connection to the API, on the HTTP client of the standard library."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import click

from cli.terminal import faults
from cli.terminal.failure import Refused, Unreachable
from cli.terminal.show import plain

TIMEOUT = 30.0  # seconds for each request
SILENCE = 60.0  # seconds without a line from a stream, which sends a comment more often where there are no events
UNAVAILABLE = (502, 503, 504)  # the API, or a proxy in front of it, cannot work at the moment
LOOPBACK = ("localhost", "127.0.0.1", "::1")
NO_KEY = "The API needs a key: set NOTIFY_KEY to one, which `notify keys create` makes"
WRONG_KEY = "The API refuses the key in NOTIFY_KEY: it is unknown, revoked or expired, see `notify keys list`"


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer of the API: `raw` is the text of the JSON document."""

    raw: str

    @property
    def json(self) -> Any:
        """Return the parsed document."""
        return json.loads(self.raw)


class Transport:
    """Connection to the API at `url`, with an API key. Its methods raise Refused or Unreachable.

    `command` is the command that asks: a refusal names its options.
    """

    def __init__(self, url: str, key: str = "", command: click.Command | None = None) -> None:
        self._url, self._key, self._command = url.rstrip("/"), key, command
        # The proxies of the environment (http_proxy) are for other machines.
        local = urlsplit(url).hostname in LOOPBACK
        proxies = [urllib.request.ProxyHandler({})] if local else []
        self._opener = urllib.request.build_opener(*proxies)

    def ask(
        self, method: str, path: str, holding: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request and return the answer, a document with the member `holding`, or any text if that is empty."""
        request = self._request(method, path, body, headers)
        try:
            with self._opener.open(request, timeout=TIMEOUT) as answer:
                body = answer.read()
                return self._document(body, holding) if holding else Answer(body.decode())
        except urllib.error.HTTPError as refused:
            raise (Unreachable if refused.code in UNAVAILABLE else Refused)(self._reason(refused)) from refused
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(self._unreachable(error)) from error

    def stream(self, path: str, last: str) -> Iterator[str]:
        """Yield the lines of an event stream from the event after `last` on, until the stream ends.

        Raises Refused where another attempt is useless, Unreachable where it may succeed.
        """
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        request = self._request("GET", path, None, headers)
        try:
            with self._opener.open(request, timeout=SILENCE) as answer:
                for line in answer:
                    yield line.decode().rstrip("\r\n")
        except urllib.error.HTTPError as refused:
            raise (Unreachable if refused.code >= 500 else Refused)(self._reason(refused)) from refused
        except (OSError, http.client.HTTPException, UnicodeDecodeError) as error:
            raise Unreachable(self._unreachable(error)) from error

    def _request(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str] | None
    ) -> urllib.request.Request:
        request = urllib.request.Request(  # noqa: S310  # the scheme was checked with the option
            self._url + path, data=body, method=method, headers={"Accept": "application/json", **(headers or {})}
        )
        if self._key:  # Not sent on after a redirect, which may lead to another server.
            request.add_unredirected_header("Authorization", f"Bearer {self._key}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
        return request

    def _document(self, raw: bytes, holding: str) -> Answer:
        try:
            answer = Answer(raw.decode())
            _ = answer.json[holding]
        except (ValueError, KeyError, TypeError):
            raise Unreachable(
                f"The server at {self._url} is not the notification API: give its address with --url or NOTIFY_URL"
            ) from None
        return answer

    def _reason(self, refused: urllib.error.HTTPError) -> str:
        """Return a problem document (RFC 9457) as text: its detail, then a line for each of its errors."""
        if refused.code == http.client.UNAUTHORIZED:
            refused.close()
            return WRONG_KEY if self._key else NO_KEY
        try:
            problem = json.loads(refused.read())
            lines = [problem.get("detail") or problem["title"]]
            lines += faults.explained(problem.get("errors", ()), self._command)
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError):
            lines = [f"The server answered {refused.code} {refused.reason}"]
        if (seconds := refused.headers.get("Retry-After", "")).isdecimal():
            lines.append(f"Run this again after {seconds} s.")
        return plain("\n  ".join(map(str, lines)), keep="\n")

    def _unreachable(self, error: Exception) -> str:
        reason = getattr(error, "reason", None) or error
        text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        return (
            f"No API answers at {self._url} ({plain(text)}): "
            "start one with `notify up`, give its address with --url or NOTIFY_URL, "
            "or set DATA_DIR to the data of a running `notify up`"
        )
