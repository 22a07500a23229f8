"""REDIS_URL: a server, or the Sentinels that know where it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

from settings import redis_address
from settings.errors import SettingsError
from settings.hosts import split

SENTINEL = "+sentinel"  # in the scheme of REDIS_URL
SENTINEL_PORT = 26379


@dataclass(frozen=True, slots=True)
class Sentinels:
    """Sentinels that know the current address of the Redis named `master`.

    `user` and `password` are those of the master, `sentinel_user` and `sentinel_password` those of the Sentinels.
    """

    nodes: tuple[tuple[str, int], ...]
    master: str
    database: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    sentinel_user: str = ""
    sentinel_password: str = field(default="", repr=False)
    tls: bool = False
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)


def server(url: str) -> redis_address.Address:
    try:
        return redis_address.parse(url)
    except redis_address.Wrong as error:
        raise SettingsError(str(error)) from None


def sentinels(url: str) -> Sentinels:
    """Parse redis+sentinel://user:pass@host:26379,host:26379/master/0?sentinel_password=..."""
    scheme, _, rest = url.partition("://")
    whole, _, query = rest.partition("?")
    place, _, path = whole.partition("/")
    credentials, _, hosts = place.rpartition("@")
    user, _, password = credentials.partition(":")
    master, _, database = path.rstrip("/").partition("/")
    # No message may contain the URL, because of its password.
    if not master or (database and not database.isdecimal()):
        raise SettingsError(
            "REDIS_URL does not name a master: give redis+sentinel://user:pass@host:26379,host:26379/mymaster/0 "
            "(and ?sentinel_password=... if the Sentinels need one)"
        )
    own, others = _of_sentinels(query)
    tls = scheme.startswith("rediss")
    try:
        options = redis_address.options(others, tls=tls)
        for name in ("db", "username", "password"):
            if name in options:
                raise redis_address.Wrong(
                    f"REDIS_URL has the option {name!r}, which cannot be used with Sentinels: remove it, "
                    "and give redis+sentinel://user:pass@host:26379/mymaster/0"
                )
        user, password = redis_address.text(user, "user name"), redis_address.text(password, "password")
    except redis_address.Wrong as error:
        raise SettingsError(str(error)) from None
    return Sentinels(
        nodes=tuple(map(_sentinel, hosts.split(","))),
        master=unquote(master),
        database=int(database or 0),
        user=user,
        password=password,
        sentinel_user=own.get("sentinel_username", ""),
        sentinel_password=own.get("sentinel_password", ""),
        tls=tls,
        options=options,
    )


def _of_sentinels(query: str) -> tuple[dict[str, str], str]:
    """Split a query into the options for the Sentinels themselves and the others."""
    pairs = parse_qsl(query, keep_blank_values=True)
    own = {name: value for name, value in pairs if name.startswith("sentinel_")}
    if unknown := own.keys() - {"sentinel_username", "sentinel_password"}:
        raise SettingsError(
            f"REDIS_URL has an unknown option {min(unknown)!r}: use sentinel_username or sentinel_password"
        )
    return own, urlencode([pair for pair in pairs if pair[0] not in own])


def _sentinel(node: str) -> tuple[str, int]:
    parts = split("REDIS_URL", f"//{node}")
    if not parts.hostname or parts.path:
        raise SettingsError("REDIS_URL has a Sentinel without a host: give host:26379 for each, separated by commas")
    return parts.hostname, parts.port or SENTINEL_PORT
