"""Clients and keys for tests, inserted directly into the database."""

from __future__ import annotations

from collections.abc import Sequence

from db import secrets
from db.secrets import KeyText
from tests.queries import Queries

EVERY = ("send", "read", "manage", "admin")


def client(sql: Queries, name: str) -> int:
    """The id of a new client."""
    [(id,)] = sql.rows("INSERT INTO clients (name) VALUES (%s) RETURNING id", name)
    return int(id)


def key(
    sql: Queries,
    scopes: Sequence[str] = EVERY,
    *,
    of: int = 1,
    sandbox: bool = False,
    expires_in: float | None = None,
) -> KeyText:
    """A new key of the client `of`."""
    secret = secrets.new()
    [(id,)] = sql.rows(
        "INSERT INTO keys (client_id, name, digest, scopes, sandbox, expires_at)"
        " VALUES (%s, 'test', %s, %s, %s, now() + %s * interval '1 second') RETURNING id",
        *(of, secrets.digest(secret), list(scopes), sandbox, expires_in),
    )
    return KeyText(id, sandbox, secret)
