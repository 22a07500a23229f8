"""Retry of many notifications in steps, with a progress bar.

After Ctrl-C, or when a server stops answering, the command prints a cursor to continue from.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import click

from cli.client.http import Client
from cli.terminal import progress, show
from cli.terminal.failure import Refused, Stopped, Unreachable
from cli.terminal.signals import Signals


class Count(NamedTuple):
    """Number of notifications. `more`: there are more, and counting stopped there."""

    number: int
    more: bool = False


class Done(NamedTuple):
    """Step that is done. `cursor` is the start of the next one, None after the last."""

    retried: int
    cursor: str | None


class Many(Protocol):
    """Set of notifications to retry."""

    def count(self) -> Count:
        """Return about how many there are."""

    def steps(self) -> Iterator[Done]:
        """Retry them and yield each step after it is done."""


class OverApi:
    """Failed notifications of the client of the API key, retried over the API."""

    def __init__(self, client: Client, filters: Mapping[str, str], cursor: str | None) -> None:
        self._client, self._filters, self._cursor = client, filters, cursor

    def count(self) -> Count:
        found = self._client.retry_count(self._filters, self._cursor).json
        return Count(found["matched"], found["more"])

    def steps(self) -> Iterator[Done]:
        while True:
            place = {"cursor": self._cursor} if self._cursor else {}
            done = self._client.retry_step({"filter": self._filters, **place}).json
            self._cursor = done["nextCursor"]
            yield Done(int(done["retried"]), self._cursor)
            if not self._cursor:
                return


def count(many: Many, as_json: bool) -> None:
    """Print how many notifications would be retried."""
    found = many.count()
    if as_json:
        click.echo(json.dumps({"matched": found.number, "more": found.more}))
    else:
        click.echo(f"Would be retried: {'more than ' if found.more else ''}{found.number}")


def retry(many: Many, as_json: bool) -> None:
    """Retry all notifications of `many`; raises Stopped after a stop signal."""
    # The count is only for the progress bar, which needs a terminal.
    expected = many.count() if sys.stderr.isatty() else Count(0)
    retried, cursor, stopped = 0, None, False
    with Signals() as signals, progress.bar("Retrying", expected.number, more=expected.more) as step:
        try:
            for done in many.steps():
                retried, cursor = retried + done.retried, done.cursor
                step(done.retried)
                if stopped := bool(signals.stops and cursor):
                    break
        except (Refused, Unreachable) as error:
            so_far = f"\nRetried so far: {retried}{_continued(cursor)}" if cursor else ""
            raise type(error)(f"{error.message}{so_far}") from error
    _say(retried, cursor if stopped else None, as_json)
    if stopped:
        raise Stopped(f"Stopped{_continued(cursor)}")


def _say(retried: int, cursor: str | None, as_json: bool) -> None:
    known: dict[str, Any] = {"retried": retried} | ({"cursor": cursor} if cursor else {})
    click.echo(json.dumps(known) if as_json else f"Retried: {retried}")


def _continued(cursor: str | None) -> str:
    return f"; to continue, repeat the command with --cursor {show.plain(cursor)}" if cursor else ""
