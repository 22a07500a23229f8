"""The classes that serve the API use only the public interface of uvicorn and gunicorn."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from gunicorn.glogging import Logger as GunicornLogger
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn_worker import UvicornWorker

from api.http import heads
from api.http.connection import Connection, stop_linger
from api.http.worker import Logger, Worker, stop_timeout

ROOT = Path(__file__).parents[2]
PATCHES = re.compile(r"gasgi\.|protocol\.Python")


@pytest.mark.parametrize(
    ("ours", "theirs"), [(Connection, HttpToolsProtocol), (Worker, UvicornWorker), (Logger, GunicornLogger)]
)
def test_the_connection_defines_no_private_name_of_its_library(ours: type, theirs: type) -> None:
    taken = {name for name in vars(ours) if hasattr(theirs, name)}
    assert not {name for name in taken if name.startswith("_") and not name.endswith("__")}


def test_no_module_of_the_server_is_patched() -> None:
    packages = ("actors", "api", "cli", "db", "runtime", "settings")
    sources = [*ROOT.glob("*.py"), *(path for name in packages for path in (ROOT / name).rglob("*.py"))]
    assert not [path for path in sources if PATCHES.search(path.read_text())]


@pytest.mark.parametrize(
    ("peer", "allowed", "trusted"),
    [
        ("127.0.0.1", ("127.0.0.1", "::1"), True),
        ("::1", ("127.0.0.1", "::1"), True),
        ("127.0.0.2", ("127.0.0.1", "::1"), False),
        ("10.1.2.3", ("10.0.0.0/8",), True),
        ("11.1.2.3", ("10.0.0.0/8",), False),
        ("fd00::1", ("10.0.0.0/8", "fd00::/8"), True),
        ("192.0.2.1", ("*",), True),
        ("192.0.2.1", (), False),
    ],
)
def test_a_proxy_is_trusted_by_address_or_network(peer: str, allowed: tuple[str, ...], *, trusted: bool) -> None:
    assert heads.is_trusted(peer, allowed) is trusted


@pytest.mark.parametrize(("value", "https"), [(b"https", True), (b"HTTPS", True), (b"http", False), (b"", False)])
def test_a_proxy_says_that_its_client_came_over_https(value: bytes, *, https: bool) -> None:
    assert heads.is_https([(b"host", b"h"), (b"x-forwarded-proto", value)]) is https


@pytest.mark.parametrize("grace", [1, 2, 3, 30, 3_600])
def test_a_connection_without_a_request_is_closed_before_a_stop_is_too_late(grace: int) -> None:
    uvicorn_looks_every = 0.1  # seconds, twice
    assert stop_linger(stop_timeout(grace)) + 2 * uvicorn_looks_every < stop_timeout(grace) < grace
