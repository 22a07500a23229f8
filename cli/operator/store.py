"""Direct access to the database, for commands that must work without an API key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click
import orjson

import settings
from api.http.answers import shown
from api.schemas import Schema
from cli.terminal import faults
from cli.terminal.failure import Refused, Unreachable
from cli.up import running
from db import clients, database, fitness, migrations
from db.clients import Client
from runtime import logs

PAGE = 1_000  # rows in one statement


@contextmanager
def opened() -> Iterator[settings.Settings]:
    """Connect to the database at DATABASE_URL, or to that of the `notify up` on DATA_DIR; yield the settings.

    Raises Unreachable if it does not answer, and Refused if its schema is not that of this version.
    """
    chosen = running.required(settings.load())
    logs.configure(chosen)
    database.bind(chosen.database)
    try:
        migrations.check()
        with database.connection():
            yield chosen
    except database.Unavailable as error:
        raise Unreachable(f"The database at DATABASE_URL cannot be used: {error}") from error
    except fitness.Unusable as error:
        raise Refused(str(error)) from error
    finally:
        if not database.database.is_closed():
            database.database.close()


def checked(schema: str, chosen: settings.Settings, document: Mapping[str, Any]) -> None:
    """Check a document as the API would; raises Refused with each fault under the name of its option."""
    if found := Schema(schema, chosen).faults(document):
        raise Refused("\n  ".join(faults.explained(found, click.get_current_context().command)))


def client(name: str) -> Client:
    """Return the client with this name; raises Refused."""
    found = clients.named(name)
    if found is None:
        raise Refused(f"There is no client {name!r}: see `notify clients list`")
    return found


def say(row: Mapping[str, Any]) -> None:
    """Print a row as JSON, in the form of the API."""
    click.echo(orjson.dumps(shown(row), option=orjson.OPT_UTC_Z).decode())
