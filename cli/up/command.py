"""`notify up`: run the whole system on one machine, without any preparation."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from http import HTTPStatus
from pathlib import Path

import click

import settings
from actors.channels import registry
from cli import lazy
from cli.servers import StartError
from cli.servers.locate import EXTRA
from cli.servers.postgres import Postgres
from cli.servers.program import POLL
from cli.servers.valkey import Valkey
from cli.terminal.signals import Interrupted, Signals
from cli.up import address, data, kept_port
from cli.up.chat_fake import PLACES
from cli.up.fakes import Fakes
from cli.up.local_server import HOST
from cli.up.mailbox import Slot
from cli.up.programs import Api, Migration, Worker
from cli.up.push_fake import PUSH
from cli.up.sms_fake import SMS
from cli.up.supervisor import Supervisor
from runtime import logs
from settings import Settings, SettingsError
from settings.providers import Provider

SENDER = "noreply@localhost"
READY_WITHIN = 60.0  # seconds
FAKES = (SMS, PUSH)


@click.command(short_help="Run the whole system on this machine.")
def up() -> None:
    """Run the whole system on this machine: PostgreSQL, Valkey, a mail catcher, the API and a worker.

    Where DATABASE_URL, REDIS_URL or SMTP_URL is set, that server is used instead. Text messages are caught too, unless
    there is a provider for them. The data stay in DATA_DIR (default .data). Ctrl-C stops everything in order; a second
    Ctrl-C, two seconds later or more, shortens the waits.
    """
    chosen = with_auth(settings.read(os.environ))
    if chosen.known_providers:
        registry.check(chosen)  # A wrong MAIL_FROM stops the start here, instead of every worker.
    keep = _catcher_keep()
    logs.configure(chosen)
    root = data.root(os.environ)
    with data.claimed(root), data.runtime(root) as place, Signals() as signals:
        chosen = chosen.changed(BIND=address.free(chosen.http))
        System(chosen, root, place, signals).run(keep)


class System:
    """Services of `notify up`, started in the order in which each needs the ones before."""

    def __init__(self, chosen: Settings, root: data.DataRoot, place: Path, signals: Signals) -> None:
        self._chosen = chosen
        self._root = root
        self._place = place
        self._signals = signals
        self._supervisor = Supervisor(signals)
        served = registry.served(chosen)
        self._fakes = [fake for fake in FAKES if fake.channel not in served]  # for channels without an account
        if chosen.http.local:  # Clients elsewhere must not reach servers on this machine through their destinations.
            self._fakes += PLACES
        self._caught_at = ""
        self._environ = {**os.environ, "BIND": chosen.http.bind, "AUTH": chosen.http.auth}
        # API and worker share the directory, so that /metrics has both. Files of an earlier run do not count.
        shutil.rmtree(place / "metrics", ignore_errors=True)
        self._environ["METRICS_DIR"] = chosen.telemetry.metrics_dir or str(place / "metrics")

    def run(self, keep: int) -> None:
        """Start all services and run until a signal stops them. `keep` is the number of caught mails to keep."""
        try:
            self._start_servers(keep)
            self._start_system()
            (self._place / data.URL).write_text(address.url(self._chosen.http))
            click.echo(self._greeting())
            self._supervisor.watch()
        except Interrupted:
            pass
        finally:
            self._supervisor.stop()

    def _start_servers(self, keep: int) -> None:
        if not self._chosen.database.url:
            self._start_postgres()
        if not self._chosen.redis.url:
            valkey = Valkey(self._root.path, self._place, stop_requests=self._signals, log=self._root.log("valkey"))
            self._supervisor.start(valkey)
            self._environ["REDIS_URL"] = valkey.url
        if _catches(self._chosen) or self._fakes:
            self._start_catching(Slot(self._root.mail, keep))

    def _start_catching(self, inbox: Slot) -> None:
        if _catches(self._chosen):
            self._start_catcher(inbox)
        if self._fakes:
            port = self._root.path / "fakes.port"
            fakes = Fakes(inbox, self._fakes, kept_port.last(port))
            self._supervisor.start(fakes)
            kept_port.keep(port, fakes.port)
            self._environ = {**fakes.environment, **self._environ}
            self._caught_at = f"http://{HOST}:{fakes.port}"

    def _start_postgres(self) -> None:
        postgres = Postgres(self._root.path, self._place, stop_requests=self._signals, log=self._root.log("postgres"))
        self._supervisor.start(postgres)
        # libpq reads PG* variables, which are meant for another server.
        self._environ = {name: value for name, value in self._environ.items() if not name.startswith("PG")}
        self._environ["DATABASE_URL"] = postgres.url

    def _start_catcher(self, inbox: Slot) -> None:
        make = lazy.attribute("cli.up.catcher:Catcher", f"set SMTP_URL to a mail server, or {EXTRA}")
        catcher = make(inbox)
        self._supervisor.start(catcher)
        self._environ |= {"SMTP_URL": catcher.url, "MAIL_FROM": self._chosen.smtp.mail_from or SENDER}
        self._environ["CAUGHT_MAIL"] = str(self._root.mail.absolute())

    def _start_system(self) -> None:
        parts = (self._chosen, self._environ, self._signals)
        migration = Migration(*parts)
        try:
            migration.start()
        finally:
            migration.stop()
        api, worker = Api(*parts), Worker(*parts)
        self._supervisor.start(api, worker)
        self._await_readiness(api, worker)

    def _await_readiness(self, api: Api, worker: Worker) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while (answer := api.ask_for("/readyz"))[0] != HTTPStatus.OK:
            for program in (api, worker):
                if not program.alive:
                    raise StartError(f"{program.name} ended while starting ({program.reap()}){program.tail()}")
            if time.monotonic() > deadline:
                raise StartError(f"The API was not ready within {READY_WITHIN:g} s: {answer[1]}")
            self._signals.pause(5 * POLL)

    def _greeting(self) -> str:
        url = address.url(self._chosen.http)
        return f"""
The notification system is up. Ctrl-C stops it; the data stay in {self._root.path}

  Dashboard  {url}/
  API        {url}/api/notifications
  Mail       {self._where_mail_goes()}{self._where_chat_goes()}

Try it:
{self._first_key()}  curl -s {url}/api/notifications -H 'Content-Type: application/json' \\
    {self._key_header()}-d '{{"type":"email","recipient":"test@example.com","message":"Hello"}}'
"""

    def _first_key(self) -> str:
        """Return the command that makes an API key; empty where no key is needed."""
        if self._chosen.http.auth == "off":
            return ""
        # A DATABASE_URL of the user is in the user's environment already, and may hold a password.
        where = "" if self._chosen.database.url else f"DATABASE_URL='{self._environ['DATABASE_URL']}' "
        create = "keys create --client default --name my-app --scope send --scope read"
        return f"  export NOTIFY_KEY=$({where}{_command()} {create})\n"

    def _key_header(self) -> str:
        return "" if self._chosen.http.auth == "off" else '-H "Authorization: Bearer $NOTIFY_KEY" '

    def _where_mail_goes(self) -> str:
        if not _catches(self._chosen):
            return f"is sent through {', '.join(account.name for account in _mail_accounts(self._chosen))}"
        prefix = (
            "" if self._root.path == Path.cwd() / data.DEFAULT else f"DATA_DIR={shlex.quote(str(self._root.path))} "
        )
        return f"is kept here and not delivered; to see it: {prefix}{_command()} inbox"

    def _where_chat_goes(self) -> str:
        if not self._chosen.http.local:
            return ""
        create = f"{_command()} destinations create alerts --kind slack --target {self._caught_at}/chat"
        return f"\n  Chat       goes to your destinations; to keep messages here: {create}"


def with_auth(chosen: Settings) -> Settings:
    """Turn AUTH off where it is not set and the API listens on loopback, which other machines cannot reach."""
    unsaid = not os.environ.get("AUTH", "").strip()
    return chosen.changed(AUTH="off") if unsaid and chosen.http.local else chosen


def _mail_accounts(chosen: Settings) -> list[Provider]:
    return registry.accounts(registry.channel("email"), chosen)


def _catches(chosen: Settings) -> bool:
    return not _mail_accounts(chosen)


def _catcher_keep() -> int:
    """Return CATCHER_KEEP, the number of caught mails to keep."""
    raw = os.environ.get("CATCHER_KEEP", "").strip() or "1000"
    if not raw.isdecimal() or not 1 <= int(raw) <= 1_000_000:
        raise SettingsError(f"CATCHER_KEEP is {raw!r}: give a number from 1 to 1000000")
    return int(raw)


def _command() -> str:
    """Return the path of this program as the user typed it, relative to the current directory where possible."""
    called = Path(sys.argv[0]).absolute()
    return str(called.relative_to(Path.cwd())) if called.is_relative_to(Path.cwd()) else str(called)
