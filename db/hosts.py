"""Connect to one of several hosts, also where one of them hangs.

libpq tries the next host where one refuses, and so it does in time where it waits by itself. Here psycopg2 waits by a
callback (`db.database`), and libpq gives no way to go on from there: so the hosts that hang are left out, and the
others are tried anew.
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
        psycopg2.OperationalError: there is none; what the last one said.
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
    """Cut libpq's lists, which are as long as each other; a single port is every host's. Empty for a single host."""
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
