"""Retry of many notifications directly in the database, for operators: of one client or of all, without a key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple, Self, TypeVar

import click

from api.http import pagination
from cli.client.many import Count, Done
from cli.operator import caller, store
from cli.terminal.failure import Unreachable
from db import acts, clients, failures, lifecycle
from db.audit import recorded
from db.clients import Client
from db.database import Unavailable, connection, lasting
from db.reports import Position
from settings import Settings

T = TypeVar("T")
STATEMENT_TIMEOUT = 120.0  # seconds; some filters read a million rows to find a thousand
COLUMNS = {
    **{"failureReason": "failure_reason", "lastOutcome": "last_outcome", "createdFrom": "created_from"},
}


class Place(NamedTuple):
    """Position of the retry: a client, and the last notification of it that was retried (None before the first)."""

    client_id: int = 0
    after: Position | None = None

    @classmethod
    def parse(cls, cursor: str | None) -> Self:
        """Parse the result of `cursor`; raises pagination.Wrong."""
        if cursor is None:
            return cls()
        id, _, place = pagination.decoded(cursor).partition(" ")
        return cls(pagination.number(id, 2**63 - 1), pagination.position(place))

    def cursor(self, after: Position) -> str:
        return pagination.encoded(f"{self.client_id} {pagination.cursor(after._asdict())}")


class InDatabase:
    """Failed notifications of `client`, or of all clients if it is None.

    `filters` are those of `db.failures.matching`.
    """

    def __init__(self, chosen: Settings, client: Client | None, filters: Mapping[str, object], place: Place) -> None:
        self._chosen, self._client, self._filters, self._place = chosen, client, filters, place

    def count(self) -> Count:
        most, found = failures.COUNTED, 0
        with lasting(STATEMENT_TIMEOUT):
            for place in self._places():
                found += failures.count(place.client_id, self._filters, place.after, most + 1 - found)
                if found > most:
                    return Count(most, more=True)
        return Count(found)

    def steps(self) -> Iterator[Done]:
        """Retry step by step, each step in a transaction. Raises Unreachable if the database stops answering."""
        try:
            for place in self._places():
                after = place.after
                while moved := self._step(place.client_id, after):
                    after = moved[-1]
                    yield Done(len(moved), place.cursor(after))
        except Unavailable as error:
            raise Unreachable(f"The database at DATABASE_URL cannot be used: {error}") from error

    def _step(self, client_id: int, after: Position | None) -> list[Position]:
        with connection(), lasting(STATEMENT_TIMEOUT):
            redrive = recorded(
                caller.by(), partial(acts.retried, client_id, self._filters.keys()), lifecycle.redrive_all
            )
            return redrive(client_id, self._filters, after, self._chosen.store.retry_limit)

    def _places(self) -> Iterator[Place]:
        """Yield the position at which to start with each client."""
        if self._place.after is not None:
            yield self._place
        if self._client is not None:
            if self._place.after is None:
                yield Place(self._client.id)
            return
        last = self._place.client_id
        while page := clients.listed(last, store.PAGE):
            for client in page:
                yield Place(client.id)
            last = page[-1].id


@contextmanager
def opened(client: str | None, wanted: Mapping[str, str], cursor: str | None) -> Iterator[InDatabase]:
    """Open the database for a retry. `wanted` has the filters under their names in the API."""
    filters: dict[str, object] = {COLUMNS.get(name, name): value for name, value in wanted.items()}
    if since := wanted.get("createdFrom"):
        filters["created_from"] = _parsed("--since", lambda: pagination.time(since))
    place = _parsed("--cursor", lambda: Place.parse(cursor))
    with store.opened() as chosen:
        owner = store.client(client) if client is not None else None
        if owner is not None and place.after is not None and place.client_id != owner.id:
            raise click.BadParameter(
                "belongs to another client: repeat the command that printed it", param_hint="--cursor"
            )
        yield InDatabase(chosen, owner, filters, place)


def _parsed(option: str, parse: Callable[[], T]) -> T:
    try:
        return parse()
    except pagination.Wrong as why:
        raise click.BadParameter(str(why), param_hint=option) from None
