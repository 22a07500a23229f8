"""Fixtures for every test: real servers, a database for each test or module, and a scripted mail server."""

from __future__ import annotations

import gc
import os
import signal
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
import trustme
from hypothesis import settings as hypothesis_settings

from cli.servers.postgres import Postgres
from cli.servers.valkey import Valkey
from tests import embedded, environment
from tests.processes import Group
from tests.smtp import SmtpServer

pytest_plugins = ["tests.skips"]

# How many examples Hypothesis makes for each property; --hypothesis-profile chooses.
BRIEF, THOROUGH = "brief", "thorough"
_directory = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Forget the caller's settings and choose where the servers will be.

    Before any module of the product is imported, because some tests make the broker at their import. They are
    started when the first test asks for them.
    """
    kept = environment.cleared()
    os.environ.clear()
    os.environ.update(kept)
    _take_signals()
    # Without deadlines for examples: nothing asserts wall-clock speed.
    hypothesis_settings.register_profile(BRIEF, deadline=None, max_examples=25)
    hypothesis_settings.register_profile(THOROUGH, deadline=None, max_examples=1_000)
    hypothesis_settings.load_profile(config.getoption("hypothesis_profile") or BRIEF)
    lasting = ExitStack()
    config.stash[_directory] = lasting.enter_context(embedded.short_directory(embedded.fast_place()))
    config.add_cleanup(lasting.close)
    os.environ["REDIS_NAMESPACE"] = "dramatiq"
    os.environ["REDIS_URL"] = Valkey(config.stash[_directory], config.stash[_directory]).url


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files; keep the order of the paths otherwise. A long file at the end would run alone."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish() -> None:
    """Leave the collected tests out of garbage collections: with them, one takes a fifth of a second."""
    gc.collect()
    gc.freeze()


def _take_signals() -> None:
    """End in order on SIGTERM, and hand down no signal that we were started to ignore.

    A shell starts a background job with SIGINT ignored, nohup with SIGHUP; a program keeps that through exec,
    and what a test then interrupts never ends. A handler is not kept.
    """
    signal.signal(signal.SIGTERM, _interrupt_once)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: None)


def _interrupt_once(number: int, _frame: object) -> None:
    """Clean up as after Ctrl-C; a second signal, which make adds to that of the group, must not interrupt it."""
    signal.signal(number, lambda _number, _frame: None)
    raise KeyboardInterrupt


@pytest.fixture(scope="session", autouse=True)
def no_process_survives() -> Iterator[None]:
    """Check at the end of the run that no process started by a test is left."""
    yield
    left = {group.log.name: members for group in Group.started if (members := group.members)}
    for group in Group.started:
        group.kill()
    assert not left


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config) -> Iterator[Postgres]:
    """One real PostgreSQL for the whole run. Do not stop it: start one of your own for that."""
    with embedded.postgres(pytestconfig.stash[_directory]) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(pytestconfig: pytest.Config) -> Iterator[Valkey]:
    """One real Redis-compatible server for the whole run, at the REDIS_URL of the environment."""
    with embedded.valkey(pytestconfig.stash[_directory]) as server:
        yield server


@pytest.fixture(scope="session")
def databases(postgres_server: Postgres) -> embedded.Databases:
    """Makes databases: `with databases.new() as database_url`."""
    return embedded.Databases(postgres_server)


@pytest.fixture
def database_url(databases: embedded.Databases) -> Iterator[str]:
    """A migrated, empty database for one test."""
    with databases.new() as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(databases: embedded.Databases) -> Iterator[str]:
    """A migrated database that the tests of one module share."""
    with databases.new() as url:
        yield url


@pytest.fixture
def redis_url(redis_server: Valkey) -> str:
    """The Redis of the run, emptied."""
    return _emptied(redis_server)


@pytest.fixture(scope="module")
def module_redis_url(redis_server: Valkey) -> str:
    """The Redis of the run, emptied once for the tests of one module."""
    return _emptied(redis_server)


def _emptied(server: Valkey) -> str:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    return server.url


@pytest.fixture
def smtp_server() -> Iterator[SmtpServer]:
    """A mail server that takes everything until the test says otherwise."""
    with SmtpServer() as server:
        yield server


@dataclass(frozen=True)
class TlsAuthority:
    """A certificate for loopback and who signed it: `ca` is a file for SMTP_URL's `ca=`."""

    context: ssl.SSLContext
    ca: Path


@pytest.fixture(scope="session")
def tls_authority(tmp_path_factory: pytest.TempPathFactory) -> TlsAuthority:
    """For `SmtpServer(tls=tls_authority.context)`."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    ca = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    return TlsAuthority(context, ca)
