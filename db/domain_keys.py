"""DKIM keys of domains: new -> current -> old -> retired. Call within `connection()`.

A key signs the notifications that were written between its `signs_from` and `signs_until`, in every attempt. So the
attempts of one notification are equal, also after a rotation between them. Both times are set SWITCH_AFTER seconds in
the future, so that all workers have loaded them by then.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from db.database import rows

ALGORITHMS = ("rsa", "ed25519")
SWITCH_AFTER = 60  # seconds from the check that finds a new key to its first signature
KEPT = 7 * 86_400  # seconds that an old key still signs retries, and that its record must stay in DNS
SUSPENDED_AFTER = 3 * 86_400  # seconds without its record after which a key signs no more


class NewKey(NamedTuple):
    """A key to add. `private_key` is encrypted."""

    algorithm: str
    selector: str
    public_key: str
    private_key: bytes


class DomainKey(NamedTuple):
    """A key without its private part. Fields are columns."""

    id: int
    domain_id: int
    algorithm: str
    selector: str
    public_key: str
    created_at: datetime
    signs_from: datetime | None
    signs_until: datetime | None
    missing_since: datetime | None

    @property
    def state(self) -> str:
        """`new`: not found in DNS yet; `current`: it signs, or will within SWITCH_AFTER; `old`: replaced."""
        if self.signs_from is None:
            return "new"
        return "old" if self.signs_until else "current"


class SigningKey(NamedTuple):
    """A key as workers need it. `private_key` is encrypted, and None if the key is retired."""

    id: int
    client_id: int | None
    domain: str
    algorithm: str
    selector: str
    private_key: bytes | None
    signs_from: datetime
    signs_until: datetime | None

    def signs(self, written_at: datetime) -> bool:
        """Return whether it signs what was written at this time."""
        return self.signs_from <= written_at < (self.signs_until or datetime.max.replace(tzinfo=UTC))


_COLUMNS = ", ".join(DomainKey._fields)
_INSERT = """
    INSERT INTO domain_keys (domain_id, algorithm, selector, public_key, private_key)
    SELECT %s, %s, %s, %s, %s
"""
_ON_CONFLICT = "ON CONFLICT (domain_id, algorithm) WHERE signs_from IS NULL DO NOTHING RETURNING id"
_IS_CURRENT = "signs_from IS NOT NULL AND signs_until IS NULL"


def of(domain_ids: Collection[int]) -> list[DomainKey]:
    """Return the keys of these domains, oldest first, without those that are retired."""
    sql = f"SELECT {_COLUMNS} FROM domain_keys WHERE domain_id = ANY(%s) AND retired_at IS NULL ORDER BY id"
    return [DomainKey(*row) for row in rows(sql, list(domain_ids))]


def signing() -> list[SigningKey]:
    """Return all keys that sign or have signed, oldest first."""
    found = rows(
        """
        SELECT k.id, d.client_id, d.domain, k.algorithm, k.selector, k.private_key, k.signs_from, k.signs_until
        FROM domain_keys AS k JOIN domains AS d ON d.id = k.domain_id WHERE k.signs_from IS NOT NULL ORDER BY k.id
        """
    )
    keys = [SigningKey(*row) for row in found]
    return [key._replace(private_key=key.private_key and bytes(key.private_key)) for key in keys]


def sealed() -> list[bytes]:
    """Return the encrypted private keys of all domains."""
    found = rows("SELECT private_key FROM domain_keys WHERE private_key IS NOT NULL ORDER BY id")
    return [bytes(key) for (key,) in found]


def add_missing(domain_id: int, keys: Sequence[NewKey]) -> None:
    """Add the keys whose algorithm the domain has no key of. Call within a transaction."""
    for key in keys:
        there = "SELECT 1 FROM domain_keys WHERE domain_id = %s AND algorithm = %s AND retired_at IS NULL"
        rows(f"{_INSERT} WHERE NOT EXISTS ({there}) {_ON_CONFLICT}", domain_id, *key, domain_id, key.algorithm)


def add_new(domain_id: int, keys: Sequence[NewKey]) -> None:
    """Add the keys whose algorithm the domain has no new key of. Call within a transaction."""
    for key in keys:
        rows(f"{_INSERT} {_ON_CONFLICT}", domain_id, *key)


def follow(domain_id: int, present: Sequence[int], absent: Sequence[int]) -> None:
    """Change the keys of a domain by what DNS has. Call within a transaction that has locked the domain."""
    _switch(domain_id, present)
    rows(
        f"""
        UPDATE domain_keys SET missing_since = CASE WHEN id = ANY(%s) THEN coalesce(missing_since, now()) END
        WHERE domain_id = %s AND {_IS_CURRENT} AND id = ANY(%s) RETURNING id
        """,
        *(list(absent), domain_id, [*present, *absent]),
    )
    _suspend(domain_id)
    _retire(domain_id)


def _switch(domain_id: int, present: Sequence[int]) -> None:
    """new -> current for the keys that DNS has, and current -> old for those that they replace."""
    switch_at = f"now() + {SWITCH_AFTER} * interval '1 second'"
    rows(
        f"""
        UPDATE domain_keys AS replaced SET signs_until = greatest(signs_from, {switch_at})
        WHERE domain_id = %s AND {_IS_CURRENT} AND EXISTS (
            SELECT 1 FROM domain_keys AS k WHERE k.domain_id = replaced.domain_id AND k.algorithm = replaced.algorithm
            AND k.signs_from IS NULL AND k.id = ANY(%s)
        ) RETURNING id
        """,
        *(domain_id, list(present)),
    )
    rows(
        f"UPDATE domain_keys SET signs_from = {switch_at}, missing_since = NULL"
        " WHERE domain_id = %s AND signs_from IS NULL AND id = ANY(%s) RETURNING id",
        *(domain_id, list(present)),
    )


def _suspend(domain_id: int) -> None:
    """current -> new for the keys that DNS has lacked for SUSPENDED_AFTER, unless a rotation has made a new one."""
    rows(
        f"""
        UPDATE domain_keys AS lost SET signs_from = NULL, missing_since = NULL
        WHERE domain_id = %s AND {_IS_CURRENT} AND missing_since < now() - %s * interval '1 second'
              AND NOT EXISTS (SELECT 1 FROM domain_keys AS k WHERE k.domain_id = lost.domain_id
                              AND k.algorithm = lost.algorithm AND k.signs_from IS NULL)
        RETURNING id
        """,
        *(domain_id, SUSPENDED_AFTER),
    )


def _retire(domain_id: int) -> None:
    """old -> retired: delete the private keys that ended KEPT seconds ago."""
    rows(
        "UPDATE domain_keys SET private_key = NULL, retired_at = now()"
        " WHERE domain_id = %s AND retired_at IS NULL AND signs_until < now() - %s * interval '1 second' RETURNING id",
        *(domain_id, KEPT),
    )
