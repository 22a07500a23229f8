"""Retrying many, step by step and with a bar.

Ctrl-C, or a server that goes away, leaves a place to go on from.
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
    """`more`: counting has ended there."""

    number: int
    more: bool = False


class Done(NamedTuple):
    """A step that is done; `cursor` is where the next one begins."""

    retried: int
    cursor: str | None


class Many(Protocol):
    """What is to be retried."""

    def count(self) -> Count:
        """About how many there are."""

    def steps(self) -> Iterator[Done]:
        """Each is done by the time it comes."""


class OverApi:
    """What a key may move."""

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
    """Say how many it would be."""
    found = many.count()
    if as_json:
        click.echo(json.dumps({"matched": found.number, "more": found.more}))
    else:
        click.echo(f"Would be retried: {'more than ' if found.more else ''}{found.number}")


def retry(many: Many, as_json: bool) -> None:
    """Retry them all; raises Stopped where somebody did not let it finish."""
    # Only for the bar: elsewhere it would be a question more.
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
            raise type(error)(f"{error.message}\nRetried so far: {retried}{_goes_on(cursor)}") from error
    _say(retried, cursor if stopped else None, as_json)
    if stopped:
        raise Stopped(f"Stopped{_goes_on(cursor)}")


def _say(retried: int, cursor: str | None, as_json: bool) -> None:
    known: dict[str, Any] = {"retried": retried} | ({"cursor": cursor} if cursor else {})
    click.echo(json.dumps(known) if as_json else f"Retried: {retried}")


def _goes_on(cursor: str | None) -> str:
    return f"; go on with the same command and --cursor {show.plain(cursor)}" if cursor else ""
