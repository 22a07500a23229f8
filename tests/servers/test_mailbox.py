"""`notify bounces --imap` reads a mailbox of a real Dovecot."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import count
from pathlib import Path
from unittest.mock import Mock

import psycopg2
import pytest

from actors.reports import tokens
from actors.reports.keys import ReportKeys
from actors.reports.reader import ReportReader
from cli.bounces import LARGEST
from cli.bounces.imap_reader import ImapReader
from cli.bounces.imap_session import ImapSession
from cli.bounces.mailbox import mailbox as mailbox_of
from cli.bounces.stop import Stop
from db import database, lifecycle
from settings import Settings
from tests import embedded
from tests.environment import configured
from tests.eventually import eventually
from tests.integration.api import NOWHERE
from tests.integration.rows import GRACE, WORKER, accepted, attempt, row
from tests.processes import Group
from tests.reporting import dsn, group
from tests.servers.gate import Gate
from tests.servers.stock_dovecot import PASSWORD, StockDovecot
from tests.servers.stock_postgres import StockPostgres
from tests.sql import Sql
from tests.system import System

MAIL = b"Subject: Hi\r\n\r\n%d\r\n"
USERS = count(1)


class Mailbox:
    """Mailbox of one test, what `notify bounces` made of it, and how to run that."""

    def __init__(self, dovecot: StockDovecot, directory: Path, url: str) -> None:
        self.dovecot, self._directory, self._database_url = dovecot, directory, url
        self.user = f"bounces{next(USERS)}"
        self.sql = Sql(url)

    def start(self, *words: str, url: str = "", password: str = PASSWORD) -> Group:
        """Start a reader."""
        system = System(
            self._directory, database_url=self._database_url, redis_url="redis://127.0.0.1:9", smtp_url=NOWHERE
        )
        command = ["notify", "bounces", "--imap", url or self.dovecot.url(self.user), *words]
        environ = system.environ | {"IMAP_PASSWORD": password}
        return Group(command, environ, self._directory / f"bounces-{next(USERS)}.log")

    @contextmanager
    def reader(self, *words: str, url: str = "") -> Iterator[Group]:
        """Run a reader until the end of the block, which it must leave in order; it has opened the mailbox."""
        reader = self.start(*words, url=url)
        try:
            self.opened(reader)
            yield reader
            assert reader.stop() == 0, reader.log.read_text()
        finally:
            reader.kill()
        assert "Traceback" not in reader.log.read_text(), reader.log.read_text()

    def opened(self, reader: Group) -> None:
        """Wait until a reader has opened the mailbox."""
        eventually(lambda: '"imap.connected"' in reader.log.read_text(), within=30, saying=reader.log.read_text)

    def put(self, *messages: bytes) -> None:
        self.dovecot.put(self.user, *messages)

    def left(self, folder: str = "INBOX") -> list[bytes]:
        return self.dovecot.messages(self.user, folder)

    def stored(self) -> int:
        [(number,)] = self.sql.rows("SELECT count(*) FROM reports WHERE source = 'imap'")
        return int(number)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let no report be committed until the end of the block."""
        with closing(psycopg2.connect(self._database_url)) as holder:
            holder.cursor().execute("LOCK TABLE reports IN SHARE MODE")
            yield

    def waiting(self) -> bool:
        """Return whether a report waits for the end of `locked`."""
        found = self.sql.rows(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return bool(found)

    def deleted(self) -> bool:
        """Return whether all messages are marked as deleted."""
        with self.dovecot.opened(self.user) as client:
            return len(client.search("ALL")) == len(client.search("DELETED"))

    def emptied(self, reader: Group) -> None:
        """Wait until no message is left."""
        eventually(lambda: not self.left(), within=60, saying=reader.log.read_text, every=0.3)


@pytest.fixture
def store(stock_database_url: str) -> Iterator[Settings]:
    with configured(database_url=stock_database_url) as settings:
        database.bind(settings.database)
        with database.connection():
            yield settings
        database.database.close()


@pytest.fixture
def mailbox(stock_dovecot: StockDovecot, stock_database_url: str, tmp_path: Path) -> Mailbox:
    return Mailbox(stock_dovecot, tmp_path, stock_database_url)


def test_a_bounce_in_the_mailbox_counts_and_is_deleted(mailbox: Mailbox, store: Settings) -> None:
    [held] = lifecycle.claim(accepted(), WORKER)
    assert lifecycle.settle([lifecycle.sent(held, attempt())], GRACE, time.monotonic())
    keys = ReportKeys.load(store.reports)
    path = tokens.return_path(tokens.token(held.id, keys.keys[0]), "bounces.example.com")
    with mailbox.reader() as reader:
        mailbox.put(dsn(group("a@example.com", said="550 5.1.1 User unknown"), to=path))
        mailbox.emptied(reader)
    ReportReader(keys).turn()
    assert row(held.id)["delivery_status"] == "bounced"


def test_a_message_that_was_read_is_moved_to_the_folder_that_the_operator_names(mailbox: Mailbox) -> None:
    mailbox.put(MAIL % 1, MAIL % 2)
    url = mailbox.dovecot.url(mailbox.user, port=mailbox.dovecot.starttls_port, scheme="imap")
    with mailbox.reader("--move-to", "Gelesen & abgelegt ä", url=url) as reader:
        mailbox.emptied(reader)
    assert mailbox.left("Gelesen & abgelegt ä") == [MAIL % 1, MAIL % 2]
    assert mailbox.stored() == 2


def test_a_message_that_comes_twice_counts_once(mailbox: Mailbox) -> None:
    mailbox.put(*[MAIL % 1] * 3, MAIL % 2)
    with mailbox.reader() as first, mailbox.reader():
        mailbox.emptied(first)
        assert mailbox.stored() == 2
        mailbox.put(MAIL % 2)
        mailbox.emptied(first)
    assert mailbox.stored() == 2


def test_a_message_that_another_reader_is_removing_is_no_empty_report(mailbox: Mailbox, store: Settings) -> None:
    mailbox.put(MAIL % 1)
    where = mailbox_of(mailbox.dovecot.url(mailbox.user), PASSWORD, "")
    with ImapSession(where) as session, mailbox.dovecot.opened(mailbox.user) as other:
        sizes = session.sizes(session.uids())
        other.delete_messages([*sizes], silent=True)
        other.uid_expunge([*sizes])
        assert [ImapReader(where, Mock(spec=Stop))._store(session, uid, size) for uid, size in sizes.items()] == [False]
    assert mailbox.stored() == 0


def test_a_message_that_is_too_large_is_left_and_reported_once(mailbox: Mailbox) -> None:
    large = b"Subject: large\r\n\r\n" + (b"x" * 998 + b"\r\n") * (LARGEST // 1000 + 1)
    mailbox.put(large, MAIL % 1)
    with mailbox.reader() as reader:
        eventually(lambda: mailbox.stored() == 1, within=30, saying=reader.log.read_text)
        mailbox.put(MAIL % 2)
        eventually(lambda: len(mailbox.left()) == 1 and mailbox.stored() == 2, within=30, saying=reader.log.read_text)
    assert reader.log.read_text().count('"report.left"') == 1
    assert mailbox.left() == [large]


def test_a_message_stays_while_the_database_is_away(mailbox: Mailbox, stock_postgres: StockPostgres) -> None:
    [(name,)] = mailbox.sql.rows("SELECT current_database()")
    elsewhere = Sql(stock_postgres.url_of("postgres"))
    with mailbox.reader() as reader:
        mailbox.put(MAIL % 1)
        mailbox.emptied(reader)
        elsewhere.rows(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        elsewhere.rows("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", name)
        mailbox.put(MAIL % 2)
        eventually(lambda: "report.not_stored" in reader.log.read_text(), within=30, saying=reader.log.read_text)
        assert mailbox.left() == [MAIL % 2]
        elsewhere.rows(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        mailbox.emptied(reader)
    assert mailbox.stored() == 2


def test_the_reader_connects_again_after_the_server_was_away(mailbox: Mailbox) -> None:
    with Gate(mailbox.dovecot.port) as gate:
        url = mailbox.dovecot.url(mailbox.user, port=gate.port)
        reader = mailbox.start(url=url)
        mailbox.opened(reader)
    eventually(lambda: "imap.failed" in reader.log.read_text(), within=30, saying=reader.log.read_text)
    mailbox.put(MAIL % 1)
    with Gate(mailbox.dovecot.port, gate.port):
        mailbox.emptied(reader)
        assert reader.stop() == 0


@pytest.mark.parametrize("step", ["before the commit", "after the commit", "marked as deleted", "moved"])
def test_a_reader_that_is_killed_loses_nothing_and_counts_nothing_twice(mailbox: Mailbox, step: str) -> None:
    words = ["--move-to", "Read"] if step == "moved" else []
    mailbox.put(MAIL % 1)
    with Gate(mailbox.dovecot.port) as gate:
        reader = mailbox.start(*words, url=mailbox.dovecot.url(mailbox.user, port=gate.port))
        with mailbox.locked():
            eventually(mailbox.waiting, within=30, saying=reader.log.read_text)
            if step == "before the commit":
                reader.kill()
            (gate.forth if step == "after the commit" else gate.back).clear()
        done = {
            "before the commit": lambda: True,
            "after the commit": lambda: mailbox.stored() == 1,
            "marked as deleted": mailbox.deleted,
            "moved": lambda: not mailbox.left(),
        }
        eventually(done[step], within=30, saying=reader.log.read_text)
        reader.kill()
    assert mailbox.left() == ([] if step == "moved" else [MAIL % 1])
    with mailbox.reader(*words) as reader:
        mailbox.emptied(reader)
        eventually(lambda: mailbox.stored() == 1, within=30, saying=reader.log.read_text)
    assert mailbox.stored() == 1
    assert step != "moved" or mailbox.left("Read") == [MAIL % 1]


def test_a_server_without_idle_is_polled_and_one_without_move_moves_nothing(
    stock_database_url: str, tmp_path: Path
) -> None:
    with ExitStack() as lasting:
        dovecot = StockDovecot(lasting.enter_context(embedded.short_directory()), "IMAP4rev1 AUTH=PLAIN UIDPLUS")
        lasting.callback(dovecot.kill)
        dovecot.start()
        mailbox = Mailbox(dovecot, tmp_path, stock_database_url)
        mailbox.put(MAIL % 1)
        with mailbox.reader() as reader:
            mailbox.emptied(reader)
            mailbox.put(MAIL % 2)
            eventually(lambda: mailbox.stored() == 2, within=60, saying=reader.log.read_text, every=0.5)
        reader = mailbox.start("--move-to", "Read")
        eventually(lambda: not reader.running, within=30, saying=reader.log.read_text)
        assert reader.stop() == 1
    assert "the IMAP server lacks MOVE" in reader.log.read_text()


def test_a_wrong_password_ends_the_start_and_is_not_shown(mailbox: Mailbox) -> None:
    reader = mailbox.start(password="guessed-wrong")
    eventually(lambda: not reader.running, within=30, saying=reader.log.read_text)
    assert reader.stop() == 1
    said = reader.log.read_text()
    assert "the IMAP server refuses the login" in said
    assert "guessed-wrong" not in said


def test_a_server_whose_certificate_is_not_trusted_learns_no_password(mailbox: Mailbox) -> None:
    reader = mailbox.start(url=mailbox.dovecot.url(mailbox.user).partition("?")[0])
    eventually(lambda: not reader.running, within=30, saying=reader.log.read_text)
    assert reader.stop() == 1
    assert "the certificate of the IMAP server is not trusted" in reader.log.read_text()
    assert f"user=<{mailbox.user}>" not in mailbox.dovecot.log
