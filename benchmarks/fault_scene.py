"""Stage for a fault: the whole system on real servers, with a mail server that counts independently."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import redis

from benchmarks import channels, load
from benchmarks.channels import Channel, Sink
from benchmarks.fault_count import Arrivals, Fast, Scripted
from benchmarks.http_sink import HttpMailboxClient
from benchmarks.mailbox import MailboxClient
from benchmarks.processes import Part, wait_until
from benchmarks.target import ROOT
from cli.servers.postgres import Postgres
from cli.servers.valkey import Valkey
from tests import embedded
from tests.load import Load
from tests.smtp import SmtpServer
from tests.system import System

# These settings and the short times of the test suite (tests.system.QUICK) make all retries end within a minute.
SETTINGS = {"probe_wait": 1, "probe_wait_max": 5, "smtp_connect_timeout": 3, "smtp_timeout": 5, "log_level": "warning"}
GROUPS, THREADS = 2, 8
POLL = 0.02
END_WITHIN = 90.0  # seconds after a fault; unfinished notifications then count as stuck


class Ground:
    """Servers that all rows share. Each row has its own database."""

    def __init__(self, folder: Path, lasting: ExitStack) -> None:
        self.folder, self.lasting = folder, lasting
        self.postgres: Postgres = lasting.enter_context(embedded.postgres(folder, {"max_connections": "60"}))
        self.valkey: Valkey = lasting.enter_context(embedded.valkey(folder))
        self.databases = embedded.Databases(self.postgres)
        ports = folder / "sink.json"
        sink = Part(
            [sys.executable, "-m", "benchmarks.sink"], os.environ, ROOT, ports, lambda: ports.read_text().endswith("\n")
        )
        lasting.callback(sink.stop)
        sink.start()
        self.sink_port, control = json.loads(ports.read_text()).values()
        self.sink = lasting.enter_context(closing(MailboxClient(control)))
        self.http = lasting.enter_context(channels.sink(folder))

    def redis(self) -> redis.Redis:
        """Return a client."""
        return redis.Redis.from_url(self.valkey.url)


class ChannelLoad(Load):
    """Load of messages that are no mails. `recipients` are their numbers."""

    channel: Channel

    def _document(self, recipient: str) -> dict[str, object]:
        return {**self.channel.document(int(recipient)), **self._fields}


class Scene:
    """System of one row, its load, and the times for the table. `channel`: None for mails."""

    def __init__(  # noqa: PLR0917
        self,
        ground: Ground,
        system: System,
        arrivals: Arrivals,
        server: SmtpServer,
        size: int,
        channel: Channel | None = None,
    ) -> None:
        self.ground, self.system, self.arrivals, self.server, self.size = ground, system, arrivals, server, size
        self.channel = channel
        self.accepted: dict[int, str] = {}
        self.note = ""
        self.broken: list[str] = []
        self.wake_ups: float | None = None
        self.recovered: float | None = None
        self.ended: float | None = None
        self._load: Load | None = None
        self._healed_at = 0.0

    def recipients(self, count: int, seconds: float = 0.0) -> Iterator[str]:
        """Yield `count` addresses, or numbers of messages, spread over `seconds`."""
        begun = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, begun + seconds * number / count - time.monotonic()))
            yield str(number) if self.channel else f"r{number}@recipient.example"

    def fill(self, **fields: object) -> None:
        """Post all notifications as fast as they are accepted, and wait for the last answer."""
        self.post(0, **fields)
        self.posted()

    def post(self, seconds: float, **fields: object) -> Load:
        """Post all notifications in the background, spread over `seconds`."""
        kind = ChannelLoad if self.channel else Load
        self._load = kind(self.system.port, self.recipients(self.size, seconds), 8, **fields)
        if isinstance(self._load, ChannelLoad) and self.channel:
            self._load.channel = self.channel
        return self._load.start()

    def posted(self) -> Load:
        """Wait for the last answer."""
        assert self._load is not None
        self.accepted |= self._load.finish().accepted
        return self._load

    def flood(self) -> None:
        """Post a backlog with the fast generator. All POSTs must be accepted."""
        done = load.exactly(f"http://127.0.0.1:{self.system.port}", 32, self.size, "b")
        assert not done.errors, f"{done.errors} POSTs were not answered with 201"
        self.accepted = dict(self.system.sql.rows("SELECT id, recipient FROM notifications"))

    def work(self) -> None:
        """Start GROUPS groups of workers."""
        for _ in range(GROUPS):
            self.system.start_workers(threads=THREADS)

    def arrived(self, more: int = 1, within: float = 60.0) -> None:
        """Wait for `more` mails."""
        enough = self.arrivals.mails() + more
        wait_until(lambda: self.arrivals.mails() >= enough, f"{more} more mails", within)

    def promise(self, kept: bool, what: str) -> None:
        """Record a promise that the counts do not show."""
        if not kept:
            self.broken.append(what)

    def healed(self) -> None:
        """Record the end of the fault. Return after the next mail, or when no mail is left to send."""
        self._healed_at, before = time.monotonic(), self.arrivals.mails()
        while time.monotonic() < self._healed_at + END_WITHIN:
            if self.arrivals.mails() > before:
                self.recovered = time.monotonic() - self._healed_at
                return
            if not self._load_goes_on() and self._unended() == 0:
                return
            time.sleep(POLL)

    def finish(self) -> None:
        """Wait until all notifications are finished, at most END_WITHIN seconds."""
        if self._load is not None:
            self.posted()
        deadline = time.monotonic() + END_WITHIN
        while self.ended is None and time.monotonic() < deadline:
            if self._unended() == 0:
                self.ended = time.monotonic() - self._healed_at
            time.sleep(POLL)

    def _load_goes_on(self) -> bool:
        return self._load is not None and self._load.running

    def _unended(self) -> int:
        sql = "SELECT count(*) FROM notifications WHERE status IN ('pending', 'processing')"
        return int(self.system.sql.rows(sql)[0][0])


@contextmanager
def scene(
    ground: Ground, name: str, size: int, *, scripted: bool, channel: str = "", **settings: object
) -> Iterator[Scene]:
    """Start a new system with its API; the row starts the workers. `scripted`: use the mail server with a script."""
    logs = ground.folder / "-".join(filter(None, (channel, name)))
    logs.mkdir()
    ground.redis().flushall()
    for mailbox in (ground.sink, ground.http.mailbox):
        mailbox.reset()
        mailbox.delay()
    other = channels.CHANNELS.get(channel)
    with ground.databases.new() as database_url, SmtpServer() as server:
        url = server.url if scripted else f"smtp://127.0.0.1:{ground.sink_port}?starttls=off"
        accounts = {"smtp_url": url} | (_accounts(other, ground.http, logs) if other else {})
        where = {"database_url": database_url, "redis_url": ground.valkey.url}
        system = System(logs, **{**where, **accounts, **SETTINGS, **settings})  # type: ignore[arg-type]
        arrivals: Arrivals = Fast(ground.http.mailbox) if other else Scripted(server) if scripted else Fast(ground.sink)
        try:
            system.start_api(processes=2)
            if other:
                channels.furnish(system.port, other, ground.http.url)
            yield Scene(ground, system, arrivals, server, size, other)
        finally:
            for group in [*system.workers, *([system.api] if system.api else [])]:
                group.kill()


def _accounts(channel: Channel, sink: Sink[HttpMailboxClient], folder: Path) -> dict[str, object]:
    return {name.lower(): value for name, value in channel.environment(sink.url, folder).items()}
