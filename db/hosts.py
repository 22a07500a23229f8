"""Connect to one of several hosts, even if one of them hangs.

libpq tries the next host if one refuses, or does not answer in time while libpq waits by itself. Here psycopg2 waits in
a callback (`db.database`), from which libpq cannot go on to the next host. So the hosts that hang are left out
and the others are tried anew.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import psycopg2

DEFAULT_PORT = "5432"
_LISTS = ("host", "hostaddr", "port")


class NoAnswer(psycopg2.OperationalError):
    """A host did not answer in time. `place`: its host (or address) and port, as libpq calls them."""

    place: tuple[str, str] | None = None


def connect(parameters: Mapping[str, Any], kind: type[psycopg2.extensions.connection]) -> Any:
    """Return a connection to the first host that answers and suits target_session_attrs.

    Raises:
        psycopg2.OperationalError: no host does; the error of the last one.
    """
    hosts = _hosts(parameters)
    while True:
        try:
            return psycopg2.connect(connection_factory=kind, **{**parameters, **_joined(hosts)})
        except NoAnswer as error:
            left = [host for host in hosts if _place(host) != error.place]
            if not left or left == hosts:
                raise
            hosts = left


def _hosts(parameters: Mapping[str, Any]) -> list[dict[str, str]]:
    """Split libpq's lists, which must be equally long; a single port is for every host. Empty for a single host."""
    given = {name: str(parameters.get(name) or os.environ.get(f"PG{name.upper()}", "")) for name in _LISTS}
    lists = {name: value.split(",") for name, value in given.items() if value}
    count = max((len(values) for name, values in lists.items() if name != "port"), default=0)
    if count < 2 or any(len(values) not in {1, count} for values in lists.values()):
        return []
    return [{name: values[i % len(values)] for name, values in lists.items()} for i in range(count)]


def _joined(hosts: list[dict[str, str]]) -> dict[str, str]:
    return {name: ",".join(host[name] for host in hosts) for name in (hosts[0] if hosts else ())}


def _place(host: Mapping[str, str]) -> tuple[str, str]:
    return host.get("host") or host.get("hostaddr", ""), host.get("port") or os.environ.get("PGPORT", DEFAULT_PORT)
