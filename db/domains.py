"""Sending domains. Call within `connection()`.

A domain belongs to a client, or to the operators (`client_id` None). Its keys are in `domain_keys`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from db import domain_keys
from db.database import database, rows
from db.domain_keys import DomainKey, NewKey
from db.exclusive import one_at_a_time

MOST = 100  # domains of one client
CHECK_EVERY = 3_600  # seconds between two checks of a domain
CHECK_LEASE = 300  # seconds after which a check that recorded nothing is repeated
LOCK = 7_023


class Domain(NamedTuple):
    """A domain. `found`: what the last check found, by the type and name of the record; empty before the first one."""

    id: int
    client_id: int | None
    domain: str
    created_at: datetime
    checked_at: datetime | None
    found: Mapping[str, Any]


class Known(NamedTuple):
    """A domain and its keys, oldest first, without those that are retired."""

    domain: Domain
    keys: Sequence[DomainKey]

    @property
    def state(self) -> str:
        """`verified` while a key signs, `failing` if the record of one of these is missing or wrong, else `pending`."""
        signing = [key for key in self.keys if key.state == "current"]
        if not signing:
            return "pending"
        return "failing" if any(key.missing_since for key in signing) else "verified"

    @property
    def to_rotate(self) -> set[str]:
        """The algorithms whose current key has no new one to replace it yet."""
        current, new = ({key.algorithm for key in self.keys if key.state == state} for state in ("current", "new"))
        return current - new


class TooMany(Exception):
    """The client has MOST domains; nothing happened."""


_COLUMNS = ", ".join(Domain._fields)
_OF = "coalesce(client_id, 0) = coalesce(%s::bigint, 0)"


def add(client_id: int | None, domain: str, keys: Sequence[NewKey]) -> tuple[Known, bool]:
    """Add a domain with its first keys. Return it and whether it is new.

    A domain that is there already only gets keys of algorithms that it has none of. Repeating the call changes nothing.

    Raises:
        TooMany: the domain is new, and the client has MOST.
    """
    with database.atomic():
        one_at_a_time(LOCK, client_id or 0)
        there = find(client_id, domain)
        if there is None and rows(f"SELECT count(*) FROM domains WHERE {_OF}", client_id)[0][0] >= MOST:
            raise TooMany
        if there is None:
            rows("INSERT INTO domains (client_id, domain) VALUES (%s, %s) RETURNING id", client_id, domain)
        [(id,)] = rows(f"SELECT id FROM domains WHERE {_OF} AND domain = %s", client_id, domain)
        domain_keys.add_missing(id, keys)
        return _known(_one(id)), there is None


def find(client_id: int | None, domain: str) -> Known | None:
    """Return a domain of a client, or None."""
    found = rows(f"SELECT {_COLUMNS} FROM domains WHERE {_OF} AND domain = %s", client_id, domain)
    return _known(Domain(*found[0])) if found else None


def listed(client_id: int | None) -> list[Known]:
    """Return the domains of a client, by name."""
    found = rows(f"SELECT {_COLUMNS} FROM domains WHERE {_OF} ORDER BY domain", client_id)
    return _all([Domain(*row) for row in found])


def named(domain: str) -> list[Known]:
    """Return the domains of this name, of the operators and of all clients."""
    found = rows(f"SELECT {_COLUMNS} FROM domains WHERE domain = %s ORDER BY client_id NULLS FIRST", domain)
    return _all([Domain(*row) for row in found])


def everywhere(after: int, limit: int) -> list[Known]:
    """Return up to `limit` domains of all clients with an id above `after`, in the order of their ids."""
    found = rows(f"SELECT {_COLUMNS} FROM domains WHERE id > %s ORDER BY id LIMIT %s", after, limit)
    return _all([Domain(*row) for row in found])


def rotate(id: int, keys: Sequence[NewKey]) -> Known | None:
    """Add new keys, which replace the current ones once a check has found them in DNS.

    An algorithm that has a new key already keeps it. Return None if there is no such domain.
    """
    with database.atomic():
        if not rows("SELECT id FROM domains WHERE id = %s FOR UPDATE", id):
            return None
        domain_keys.add_new(id, keys)
        rows("UPDATE domains SET check_at = now() WHERE id = %s RETURNING id", id)
        return _known(_one(id))


def remove(id: int) -> Domain | None:
    """Delete a domain with its keys. Return it, or None if there is none."""
    found = rows(f"DELETE FROM domains WHERE id = %s RETURNING {_COLUMNS}", id)
    return Domain(*found[0]) if found else None


def take_due(limit: int) -> list[Known]:
    """Return up to `limit` domains that are to be checked, and put off their next check.

    Several workers may call it at once. A domain whose check records nothing comes again after CHECK_LEASE.
    """
    found = rows(
        f"""
        WITH due AS MATERIALIZED (  -- as a subquery it may run, and lock further rows, more than once
            SELECT id FROM domains WHERE check_at <= now() ORDER BY check_at LIMIT %s FOR UPDATE SKIP LOCKED
        )
        UPDATE domains SET check_at = now() + %s * interval '1 second' WHERE id IN (SELECT id FROM due)
        RETURNING {_COLUMNS}
        """,
        *(limit, CHECK_LEASE),
    )
    return _all([Domain(*row) for row in found])


def record(id: int, found: str, present: Sequence[int], absent: Sequence[int]) -> Known | None:
    """Record a check, and switch, suspend and retire keys by what it found. Return None if the domain was removed.

    `found`: JSON by the type and name of the record. `present`: ids of keys that DNS has. `absent`: ids of keys whose
    record is missing or wrong; a key of which DNS said nothing is in neither.
    """
    with database.atomic():
        updated = rows(
            "UPDATE domains SET checked_at = now(), found = %s, check_at = now() + %s * interval '1 second'"
            " WHERE id = %s RETURNING id",
            *(found, CHECK_EVERY, id),
        )
        if not updated:
            return None
        domain_keys.follow(id, present, absent)
        return _known(_one(id))


def _one(id: int) -> Domain:
    [row] = rows(f"SELECT {_COLUMNS} FROM domains WHERE id = %s", id)
    return Domain(*row)


def _known(domain: Domain) -> Known:
    return Known(domain, domain_keys.of([domain.id]))


def _all(found: Sequence[Domain]) -> list[Known]:
    keys = domain_keys.of([one.id for one in found])
    return [Known(one, [key for key in keys if key.domain_id == one.id]) for one in found]
