"""Client of the API for the commands: a method for each request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import click

from cli.client.transport import Answer, Transport

__all__ = ["Answer", "Client"]

NOTIFICATIONS = "/api/notifications"
TEMPLATES = "/api/templates"
SUPPRESSIONS = "/api/suppressions"
CALLBACKS = "/api/callbacks"
DESTINATIONS = "/api/destinations"


class Client:
    """The API at `url`, with an API key. Each method raises Refused or Unreachable.

    `command` is the command that asks: a refusal names its options.
    """

    def __init__(self, url: str, key: str = "", command: click.Command | None = None) -> None:
        self._transport = Transport(url, key, command)
        self._ask = self._transport.ask

    def send(self, notification: Mapping[str, object], key: str | None = None) -> Answer:
        """Send a notification. A request that fails is not repeated: it may have been accepted."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return self._ask("POST", NOTIFICATIONS, "status", json.dumps(notification).encode(), headers)

    def cancel(self, id: int) -> Answer:
        """Cancel a pending notification."""
        return self._ask("POST", f"{NOTIFICATIONS}/{id}/cancel", "status")

    def retry(self, id: int) -> Answer:
        """Send a failed notification again."""
        return self._ask("POST", f"{NOTIFICATIONS}/{id}/retry", "status")

    def retry_step(self, step: Mapping[str, Any]) -> Answer:
        """Retry the next notifications of a filter, as many as the API takes in one request."""
        return self._ask("POST", f"{NOTIFICATIONS}/retry", "retried", json.dumps(step).encode())

    def retry_count(self, filters: Mapping[str, str], cursor: str | None = None) -> Answer:
        """Count the failed notifications that a retry with these filters would send, from `cursor` on."""
        place = {"cursor": cursor} if cursor else {}
        body = json.dumps({"filter": filters, "dryRun": True, **place}).encode()
        return self._ask("POST", f"{NOTIFICATIONS}/retry", "matched", body)

    def pause(self, method: str, channel: str | None) -> Answer:
        """PUT or DELETE the pause of a channel; without a channel, that of the client of the key."""
        return self._ask(
            method, f"/api/pauses/channels/{quote(channel, safe='')}" if channel else "/api/pauses/client", "paused"
        )

    def notification(self, id: int) -> Answer:
        """Return a notification."""
        return self._ask("GET", f"{NOTIFICATIONS}/{id}", "status")

    def attempts(self, id: int) -> Answer:
        """Return the attempts of a notification, oldest first."""
        return self._ask("GET", f"{NOTIFICATIONS}/{id}/attempts", "items")

    def events(self, id: int, **wanted: object) -> Answer:
        """Return a page of the events of a notification, oldest first."""
        return self._list(f"{NOTIFICATIONS}/{id}/events", wanted)

    def limits(self) -> Answer:
        """Return the limits of the client, and how much of each is used."""
        return self._ask("GET", "/api/limits", "pending")

    def notifications(self, **wanted: object) -> Answer:
        """Return a page of notifications, newest first. Filters that are None are left out."""
        return self._list(NOTIFICATIONS, wanted)

    def put_template(self, name: str, template: Mapping[str, Any]) -> Answer:
        """Store a new version of a template; the newest version is returned if it has the same content."""
        return self._ask("PUT", _below(TEMPLATES, name), "version", json.dumps(template).encode())

    def templates(self, **wanted: object) -> Answer:
        """Return a page of templates, by name."""
        return self._list(TEMPLATES, wanted)

    def template(self, name: str, version: int | None) -> Answer:
        """Return a version of a template, or the newest one."""
        path = _below(TEMPLATES, name)
        return self._ask("GET", path if version is None else f"{path}/versions/{version}", "version")

    def preview(self, name: str, wanted: Mapping[str, Any]) -> Answer:
        """Render a template without sending anything."""
        return self._ask("POST", f"{_below(TEMPLATES, name)}/preview", "subject", json.dumps(wanted).encode())

    def delete_template(self, name: str) -> None:
        """Delete all versions of a template."""
        self._ask("DELETE", _below(TEMPLATES, name), "")

    def suppress(self, entry: Mapping[str, Any]) -> Answer:
        """Add an address to the suppression list."""
        return self._ask("POST", SUPPRESSIONS, "address", json.dumps(entry).encode())

    def suppressions(self, **wanted: object) -> Answer:
        """Return a page of the suppression list, newest first."""
        return self._list(SUPPRESSIONS, wanted)

    def unsuppress(self, address: str) -> None:
        """Remove an address from the suppression list."""
        self._ask("DELETE", _below(SUPPRESSIONS, address), "")

    def _list(self, path: str, wanted: Mapping[str, object]) -> Answer:
        return self._ask("GET", path + _query(wanted), "items")

    def create_callback(self, endpoint: Mapping[str, object]) -> Answer:
        """Register a callback endpoint."""
        return self._ask("POST", CALLBACKS, "secret", json.dumps(endpoint).encode())

    def callbacks(self) -> Answer:
        """Return all callback endpoints of the client."""
        return self._ask("GET", CALLBACKS, "items")

    def rotate_callback(self, id: int) -> Answer:
        """Give a callback endpoint a new secret."""
        return self._ask("POST", f"{CALLBACKS}/{id}/rotate-secret", "secret")

    def callback(self, id: int) -> Answer:
        """Return a callback endpoint."""
        return self._ask("GET", f"{CALLBACKS}/{id}", "url")

    def callback_health(self, id: int) -> Answer:
        """Return the health of an endpoint: its last success and failure."""
        return self._ask("GET", f"{CALLBACKS}/{id}/health", "waiting")

    def change_callback(self, id: int, changes: Mapping[str, object]) -> Answer:
        """Change a callback endpoint."""
        return self._ask("PATCH", f"{CALLBACKS}/{id}", "url", json.dumps(changes).encode())

    def test_callback(self, id: int) -> Answer:
        """Send a test callback to an endpoint."""
        return self._ask("POST", f"{CALLBACKS}/{id}/test", "id")

    def retry_deliveries(self, id: int) -> Answer:
        """Deliver a step of the failed callbacks to an endpoint once more."""
        return self._ask("POST", f"{CALLBACKS}/{id}/retry", "retried")

    def delete_callback(self, id: int) -> Answer:
        """Delete a callback endpoint."""
        return self._ask("DELETE", f"{CALLBACKS}/{id}", "url")

    def deliveries(self, id: int, **wanted: object) -> Answer:
        """Return a page of the callbacks to an endpoint, newest first. Filters that are None are left out."""
        return self._ask("GET", f"{CALLBACKS}/{id}/deliveries{_query(wanted)}", "items")

    def retry_delivery(self, id: int, delivery: int) -> Answer:
        """Deliver a failed callback once more."""
        return self._ask("POST", f"{CALLBACKS}/{id}/deliveries/{delivery}/retry", "status")

    def create_destination(self, destination: Mapping[str, object]) -> Answer:
        """Create a destination."""
        return self._ask("POST", DESTINATIONS, "kind", json.dumps(destination).encode())

    def destinations(self, **wanted: object) -> Answer:
        """Return a page of destinations, by name."""
        return self._list(DESTINATIONS, wanted)

    def destination(self, name: str) -> Answer:
        """Return a destination."""
        return self._ask("GET", _below(DESTINATIONS, name), "kind")

    def change_destination(self, name: str, changes: Mapping[str, object]) -> Answer:
        """Change a destination."""
        return self._ask("PATCH", _below(DESTINATIONS, name), "kind", json.dumps(changes).encode())

    def rotate_destination(self, name: str) -> Answer:
        """Give a webhook a new secret."""
        return self._ask("POST", f"{_below(DESTINATIONS, name)}/rotate-secret", "secret")

    def delete_destination(self, name: str) -> None:
        """Delete a destination."""
        self._ask("DELETE", _below(DESTINATIONS, name), "")

    def history(self, **wanted: object) -> Answer:
        """Return how notifications ended in a window. Options that are None are left out."""
        return self._ask("GET", f"/api/history{_query(wanted)}", "total")

    def stream(self, path: str, wanted: Mapping[str, object], last: str) -> Iterator[str]:
        """Yield the lines of an event stream from the event after `last` on, until the stream ends.

        Raises Refused where another attempt is useless, Unreachable where it may succeed.
        """
        return self._transport.stream(path + _query(wanted), last)


def _below(path: str, name: str) -> str:
    return f"{path}/{quote(name, safe='@')}"


def _query(wanted: Mapping[str, object]) -> str:
    query = urlencode({name: value for name, value in wanted.items() if value is not None}, doseq=True)
    return f"?{query}" if query else ""
