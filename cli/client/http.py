"""The API, as a person's command sees it: plain HTTP with the standard library."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from cli.terminal.failure import Refused, Unreachable
from cli.terminal.show import plain

TIMEOUT = 30.0  # seconds for each request
SILENCE = 60.0  # seconds: whoever has nothing to tell says at least that, more often
NOTIFICATIONS = "/api/notifications"
TEMPLATES = "/api/templates"
SUPPRESSIONS = "/api/suppressions"
CALLBACKS = "/api/callbacks"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API answered: as it came, and as values."""

    raw: str

    @property
    def json(self) -> Any:
        """The document."""
        return json.loads(self.raw)


class Client:
    """The API at `url`. Each method raises Refused or Unreachable."""

    def __init__(self, url: str, key: str = "") -> None:
        self._url, self._key = url.rstrip("/"), key
        # A proxy of the environment is for the world outside.
        local = urlsplit(url).hostname in LOOPBACK
        proxies = [urllib.request.ProxyHandler({})] if local else []
        self._opener = urllib.request.build_opener(*proxies)

    def send(self, notification: Mapping[str, object], key: str | None = None) -> Answer:
        """POST a notification; never tried again, since it may have been accepted."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return self._ask("POST", NOTIFICATIONS, "status", json.dumps(notification).encode(), headers)

    def cancel(self, id: int) -> Answer:
        """Cancel a notification."""
        return self._ask("POST", f"{NOTIFICATIONS}/{id}/cancel", "status")

    def retry(self, id: int) -> Answer:
        """Send a failed notification once more."""
        return self._ask("POST", f"{NOTIFICATIONS}/{id}/retry", "status")

    def retry_step(self, step: Mapping[str, Any]) -> Answer:
        """One step of retrying many."""
        return self._ask("POST", f"{NOTIFICATIONS}/retry", "retried", json.dumps(step).encode())

    def retry_count(self, filters: Mapping[str, str], cursor: str | None = None) -> Answer:
        """How many such a retry would meet, from `cursor` on."""
        place = {"cursor": cursor} if cursor else {}
        body = json.dumps({"filter": filters, "dryRun": True, **place}).encode()
        return self._ask("POST", f"{NOTIFICATIONS}/retry", "matched", body)

    def pause(self, method: str, channel: str | None) -> Answer:
        """PUT or DELETE the pause of a channel, or of oneself."""
        return self._ask(
            method, f"/api/pauses/channels/{quote(channel, safe='')}" if channel else "/api/pauses/client", "paused"
        )

    def notification(self, id: int) -> Answer:
        """One notification."""
        return self._ask("GET", f"{NOTIFICATIONS}/{id}", "status")

    def attempts(self, id: int) -> Answer:
        """The attempts of a notification, first to last."""
        return self._ask("GET", f"{NOTIFICATIONS}/{id}/attempts", "items")

    def events(self, id: int, **wanted: object) -> Answer:
        """A page of what happened to a notification, first to last."""
        return self._list(f"{NOTIFICATIONS}/{id}/events", wanted)

    def limits(self) -> Answer:
        """The limits in force, and how much of each is used."""
        return self._ask("GET", "/api/limits", "pending")

    def notifications(self, **wanted: object) -> Answer:
        """A page of notifications, newest first; what is None is not asked for."""
        return self._list(NOTIFICATIONS, wanted)

    def put_template(self, name: str, template: Mapping[str, Any]) -> Answer:
        """Make a version, or find that the newest one is the same."""
        return self._ask("PUT", _below(TEMPLATES, name), "version", json.dumps(template).encode())

    def templates(self, **wanted: object) -> Answer:
        """A page of templates by name."""
        return self._list(TEMPLATES, wanted)

    def template(self, name: str, version: int | None) -> Answer:
        """One version; the newest where none is given."""
        path = _below(TEMPLATES, name)
        return self._ask("GET", path if version is None else f"{path}/versions/{version}", "version")

    def preview(self, name: str, wanted: Mapping[str, Any]) -> Answer:
        """What a template says."""
        return self._ask("POST", f"{_below(TEMPLATES, name)}/preview", "subject", json.dumps(wanted).encode())

    def delete_template(self, name: str) -> None:
        """Delete all its versions."""
        self._ask("DELETE", _below(TEMPLATES, name), "")

    def suppress(self, entry: Mapping[str, Any]) -> Answer:
        """Put an address on the suppression list."""
        return self._ask("POST", SUPPRESSIONS, "address", json.dumps(entry).encode())

    def suppressions(self, **wanted: object) -> Answer:
        """A page of the suppression list, newest first."""
        return self._list(SUPPRESSIONS, wanted)

    def unsuppress(self, address: str) -> None:
        """Take an address off the list."""
        self._ask("DELETE", _below(SUPPRESSIONS, address), "")

    def _list(self, path: str, wanted: Mapping[str, object]) -> Answer:
        return self._ask("GET", path + _query(wanted), "items")

    def create_callback(self, endpoint: Mapping[str, object]) -> Answer:
        """Register a callback endpoint."""
        return self._ask("POST", CALLBACKS, "secret", json.dumps(endpoint).encode())

    def callbacks(self) -> Answer:
        """All callback endpoints."""
        return self._ask("GET", CALLBACKS, "items")

    def rotate_callback(self, id: int) -> Answer:
        """Give an endpoint a new secret."""
        return self._ask("POST", f"{CALLBACKS}/{id}/rotate-secret", "secret")

    def delete_callback(self, id: int) -> Answer:
        """Delete an endpoint."""
        return self._ask("DELETE", f"{CALLBACKS}/{id}", "url")

    def deliveries(self, id: int, **wanted: object) -> Answer:
        """A page of what was told to an endpoint, newest first; what is None is not asked for."""
        return self._ask("GET", f"{CALLBACKS}/{id}/deliveries{_query(wanted)}", "items")

    def retry_delivery(self, id: int, delivery: int) -> Answer:
        """Deliver a failed callback again."""
        return self._ask("POST", f"{CALLBACKS}/{id}/deliveries/{delivery}/retry", "status")

    def stream(self, path: str, wanted: Mapping[str, object], last: str) -> Iterator[str]:
        """The lines of a stream of events that goes on after the event `last`, until it ends.

        Raises Refused where it is of no use to try again, Unreachable where it may be.
        """
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        request = self._request("GET", path + _query(wanted), None, headers)
        try:
            with self._opener.open(request, timeout=SILENCE) as answer:
                for line in answer:
                    yield line.decode().rstrip("\r\n")
        except urllib.error.HTTPError as refused:
            raise (Unreachable if refused.code >= 500 else Refused)(_reason(refused)) from refused
        except (OSError, http.client.HTTPException, UnicodeDecodeError) as error:
            raise Unreachable(self._unreachable(error)) from error

    def _request(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str] | None
    ) -> urllib.request.Request:
        request = urllib.request.Request(  # noqa: S310  # the scheme was checked with the option
            self._url + path, data=body, method=method, headers={"Accept": "application/json", **(headers or {})}
        )
        if self._key:  # Whoever the API redirects us to must not get it.
            request.add_unredirected_header("Authorization", f"Bearer {self._key}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
        return request

    def _ask(
        self, method: str, path: str, holding: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        request = self._request(method, path, body, headers)
        try:
            with self._opener.open(request, timeout=TIMEOUT) as answer:
                body = answer.read()
                return self._document(body, holding) if holding else Answer(body.decode())
        except urllib.error.HTTPError as refused:
            raise Refused(_reason(refused)) from refused
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(self._unreachable(error)) from error

    def _document(self, raw: bytes, holding: str) -> Answer:
        try:
            answer = Answer(raw.decode())
            _ = answer.json[holding]
        except (ValueError, KeyError, TypeError):
            raise Unreachable(f"What answers at {self._url} is not the notification API.") from None
        return answer

    def _unreachable(self, error: Exception) -> str:
        reason = getattr(error, "reason", None) or error
        text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        return (
            f"Nothing answers at {self._url} ({plain(text)}): "
            "start it with `notify up`, or say where it is with --url or NOTIFY_URL"
        )


def _below(path: str, name: str) -> str:
    return f"{path}/{quote(name, safe='@')}"


def _query(wanted: Mapping[str, object]) -> str:
    query = urlencode({name: value for name, value in wanted.items() if value is not None}, doseq=True)
    return f"?{query}" if query else ""


def _place(error: Mapping[str, str]) -> str:
    return next(error[kind] for kind in ("pointer", "parameter", "header") if kind in error)


def _reason(refused: urllib.error.HTTPError) -> str:
    """The problem document (RFC 9457) as sentences: its detail, then each of its errors."""
    try:
        problem = json.loads(refused.read())
        lines = [problem.get("detail") or problem["title"]]
        lines += [f"{_place(error)}: {error['detail']}" for error in problem.get("errors", ())]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError, StopIteration):
        lines = [f"The server answered {refused.code} {refused.reason}"]
    return plain("\n  ".join(map(str, lines)), keep="\n")
