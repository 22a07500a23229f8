"""Look a mail up at providers whose API finds it by our token. A mail that is not found may still appear later."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlencode

from actors.channels.http_api import Answer, Request
from actors.channels.http_judging import document
from actors.reports.reference import REFERENCE
from settings.http_account import HttpAccount

EARLIER = 60.0  # seconds: clocks of the provider and ours may differ by this
_PAGE = 15  # events of one answer: more would not fit into what is read of it


class Search(NamedTuple):
    """A mail to look for: its token, the recipient, and the time before which it was not sent."""

    token: str
    recipient: str
    since: datetime


class Api(Protocol):
    """Search at one provider."""

    def request(self, search: Search, account: HttpAccount) -> Request:
        """Return the request that looks for a mail."""

    def found(self, answer: Answer, search: Search) -> str | None:
        """Return the provider's id of the mail; None if the answer does not have the mail."""


class Postmark:
    """GET /messages/outbound, by a field of the metadata."""

    @staticmethod
    def request(search: Search, account: HttpAccount) -> Request:
        query = urlencode({"count": 1, "offset": 0, f"metadata_{REFERENCE}": search.token})
        headers = {"Accept": "application/json", "X-Postmark-Server-Token": account.secret}
        return Request(f"{account.url}/messages/outbound?{query}", headers, b"", "GET")

    @staticmethod
    def found(answer: Answer, search: Search) -> str | None:
        for message in _objects(document(answer).get("Messages")):
            # An older version of the API could ignore a filter that it does not know.
            if _object(message.get("Metadata")).get(REFERENCE) == search.token:
                return _id(message.get("MessageID"))
        return None


class Mailgun:
    """GET /v3/<domain>/events: what it accepted for the recipient since the attempt."""

    @staticmethod
    def request(search: Search, account: HttpAccount) -> Request:
        since = search.since.timestamp() - EARLIER
        query = urlencode(
            {
                **{"event": "accepted", "recipient": search.recipient},
                **{"begin": f"{since:.0f}", "ascending": "yes", "limit": _PAGE},
            }
        )
        headers = {"Authorization": f"Basic {b64encode(f'api:{account.secret}'.encode()).decode()}"}
        return Request(f"{account.url}/v3/{account.domain}/events?{query}", headers, b"", "GET")

    @staticmethod
    def found(answer: Answer, search: Search) -> str | None:
        for event in _objects(document(answer).get("items")):
            if _object(event.get("user-variables")).get(REFERENCE) == search.token:
                return _id(_object(_object(event.get("message")).get("headers")).get("message-id"))
        return None


APIS: Mapping[str, Api] = {"postmark": Postmark(), "mailgun": Mailgun()}


def _objects(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _id(value: object) -> str | None:
    return value.strip("<>")[:200] if isinstance(value, str) and value else None
