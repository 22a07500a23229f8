"""The database itself, for commands that must work before anybody has a key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click
import orjson

import settings
from api.http.answers import shown
from api.schemas import Schema
from cli.terminal.failure import Refused, Unreachable
from cli.up import running
from db import clients, database, fitness, migrations
from db.clients import Client
from runtime import logs

PAGE = 1_000  # rows in one statement


@contextmanager
def opened() -> Iterator[settings.Settings]:
    """The database at DATABASE_URL, else that of the `notify up` which runs on DATA_DIR; at this version's schema."""
    chosen = running.joined(settings.load())
    logs.configure(chosen)
    database.bind(chosen)
    try:
        migrations.check()
        with database.connection():
            yield chosen
    except database.Unavailable as error:
        raise Unreachable(f"The database at DATABASE_URL cannot be used: {error}") from error
    except fitness.Unfit as error:
        raise Refused(str(error)) from error
    finally:
        if not database.database.is_closed():
            database.database.close()


def checked(schema: str, chosen: settings.Settings, document: Mapping[str, Any]) -> None:
    """Refuse what the API would refuse, in its words."""
    if faults := Schema(schema, chosen).faults(document):
        lines = [f"{fault['pointer'].removeprefix('/') or 'this'}: {fault['detail']}" for fault in faults]
        raise Refused("\n  ".join(lines))


def client(name: str) -> Client:
    """The client of this name."""
    found = clients.named(name)
    if found is None:
        raise Refused(f"There is no client {name!r}: see `notify clients list`")
    return found


def say(row: Mapping[str, Any]) -> None:
    """A row as the API would show it."""
    click.echo(orjson.dumps(shown(row), option=orjson.OPT_UTC_Z).decode())
