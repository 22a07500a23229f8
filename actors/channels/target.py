"""The URL of a callback endpoint, taken apart, and the addresses behind it, checked."""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from actors.channels.networks import is_own, is_public
from settings import Network

URL_LIMIT = 2_000  # characters
LOWEST_PORT = 1_024  # but for the two of the web: below are services that should not be talked to by HTTP
WEB_PORTS = {"http": 80, "https": 443}
LOOKUPS = 64  # at the same time in this process; one that hangs is left behind
_PRINTABLE = re.compile(r"[!-~]+")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")

Lookup = Callable[[str, int], Sequence[tuple[Any, ...]]]


class Unfit(ValueError):
    """Why a URL can be no callback endpoint, or what it leads to no target; says what to do."""


class NotPublic(Unfit):
    """What it leads to is an address of some inner network."""


class Target(NamedTuple):
    """Where to connect, what to call it, and what to ask for."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str, allowed: Sequence[Network]) -> Target:
        """Raises Unfit. Whether a name leads where it may is only known when it is connected to."""
        if len(url) > URL_LIMIT or not _PRINTABLE.fullmatch(url) or "\\" in url:
            raise Unfit(
                f"must be a URL of at most {URL_LIMIT} ASCII characters; write other letters %XX and names xn--"
            )
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise Unfit("must be a URL such as https://example.com/callbacks") from None
        if parts.scheme != "https" and not (parts.scheme == "http" and allowed):
            raise Unfit("must begin with https://")
        if "@" in parts.netloc or parts.fragment:
            raise Unfit("must hold no user, password or #fragment")
        target = cls(parts.scheme, _host(parts.hostname), _port(parts.scheme, port), parts.path or "/")
        target.check_literal(allowed)
        return target._replace(path=f"{target.path}?{parts.query}") if parts.query else target

    @property
    def authority(self) -> str:
        """The Host header (RFC 9110, 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == WEB_PORTS[self.scheme] else f"{host}:{self.port}"

    def check_literal(self, allowed: Sequence[Network]) -> None:
        """An address instead of a name can be judged at once."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return
        self.check(self.host, allowed)

    def check(self, address: str, allowed: Sequence[Network]) -> None:
        """Raise Unfit unless it may be connected to. The address is not repeated: it may be an inner secret."""
        if is_own(address, allowed):
            return
        if not is_public(address):
            raise NotPublic("leads to an address that is not public")
        if self.scheme != "https":
            raise Unfit("must begin with https:// outside CALLBACK_ALLOWED_NETWORKS")

    def addresses(self, look_up: Lookup, allowed: Sequence[Network], until: float) -> Sequence[tuple[Any, ...]]:
        """What `getaddrinfo` finds, if every single one may be connected to.

        Raises:
            Unfit: one may not.
            TimeoutError: nothing was found until `until`, a `time.monotonic()`.
            OSError, UnicodeError: there is no such name.
        """
        found = _bounded(lambda: look_up(self.host, self.port), until)
        for *_, address in found:
            self.check(address[0], allowed)
        return found


def resolve(host: str, port: int) -> Sequence[tuple[Any, ...]]:
    """The system's resolver; may take as long as it likes."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


_room = threading.BoundedSemaphore(LOOKUPS)


def _bounded(look_up: Callable[[], Sequence[tuple[Any, ...]]], until: float) -> Sequence[tuple[Any, ...]]:
    # The resolver cannot be interrupted, so it runs on a thread that need not be waited for.
    if not _room.acquire(timeout=max(0.0, until - time.monotonic())):
        raise TimeoutError
    answer: Future[Sequence[tuple[Any, ...]]] = Future()

    def run() -> None:
        try:
            answer.set_result(look_up())
        except Exception as error:  # noqa: BLE001 - it reaches the caller
            answer.set_exception(error)
        finally:
            _room.release()

    threading.Thread(target=run, name="look-up", daemon=True).start()
    return answer.result(max(0.0, until - time.monotonic()))


def _host(host: str | None) -> str:
    if host is not None and (":" in host or _NAME.fullmatch(host)) and "%" not in host and len(host) <= 253:
        return host
    raise Unfit("must name a host, such as https://example.com/callbacks")


def _port(scheme: str, port: int | None) -> int:
    if port is None or port in WEB_PORTS.values() or port >= LOWEST_PORT:
        return port or WEB_PORTS[scheme]
    raise Unfit(f"must have port 80, 443 or one from {LOWEST_PORT}")
