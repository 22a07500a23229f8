"""`notify up`: the whole system on one machine, from nothing."""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import click

import logs
import settings
from cli import address, data, lazy
from cli.programs import Api, Migration, Worker
from cli.servers import StartError
from cli.servers.locate import EXTRA
from cli.servers.postgres import Postgres
from cli.servers.program import POLL
from cli.servers.valkey import Valkey
from cli.signals import Interrupted, Signals
from cli.supervisor import Supervisor
from settings import Settings, SettingsError

SENDER = "noreply@localhost"
READY_WITHIN = 60.0


@click.command(short_help="Run everything here, from nothing.")
def up() -> None:
    """Run everything here: PostgreSQL, Valkey, mail catcher, API and a worker.

    DATABASE_URL, REDIS_URL or SMTP_URL, when set, are used instead of a server of our own. Data stay
    in DATA_DIR (default .data). Ctrl-C stops all in order; a second Ctrl-C, two seconds
    later or more, hurries.
    """
    chosen = with_auth(settings.read(os.environ))
    if not _catches(chosen):
        _ = chosen.sender  # refused now instead of by each worker
    keep = _catcher_keep()
    logs.configure(chosen)
    root = data.root(os.environ)
    with data.claimed(root), data.runtime(root) as place, Signals() as signals:
        chosen = replace(chosen, bind=address.free(chosen))
        System(chosen, root, place, signals).run(keep)


class System:
    """Everything that runs, in the order in which each needs the one before."""

    def __init__(self, chosen: Settings, root: data.DataRoot, place: Path, signals: Signals) -> None:
        self._chosen = chosen
        self._root = root
        self._place = place
        self._signals = signals
        self._supervisor = Supervisor(signals)
        self._environ = {**os.environ, "BIND": chosen.bind, "AUTH": chosen.auth}
        # Of the API and the worker together, so that the API shows all of it. What a crash has left is not of this run.
        shutil.rmtree(place / "metrics", ignore_errors=True)
        self._environ["METRICS_DIR"] = chosen.metrics_dir or str(place / "metrics")

    def run(self, keep: int) -> None:
        """Until somebody wants it to stop."""
        try:
            self._start_servers(keep)
            self._start_system()
            click.echo(self._greeting())
            self._supervisor.watch()
        except Interrupted:
            pass
        finally:
            self._supervisor.stop()

    def _start_servers(self, keep: int) -> None:
        if not self._chosen.database_url:
            self._start_postgres()
        if not self._chosen.redis_url:
            valkey = Valkey(self._root.path, self._place, patience=self._signals, log=self._root.log("valkey"))
            self._supervisor.start(valkey)
            self._environ["REDIS_URL"] = valkey.url
        if _catches(self._chosen):
            self._start_catcher(keep)

    def _start_postgres(self) -> None:
        postgres = Postgres(self._root.path, self._place, patience=self._signals, log=self._root.log("postgres"))
        self._supervisor.start(postgres)
        # What libpq would read from PG* is meant for another server.
        self._environ = {name: value for name, value in self._environ.items() if not name.startswith("PG")}
        self._environ["DATABASE_URL"] = postgres.url

    def _start_catcher(self, keep: int) -> None:
        make = lazy.attribute("cli.catcher:Catcher", f"set SMTP_URL to a mail server, or {EXTRA}")
        catcher = make(self._root.mail, keep)
        self._supervisor.start(catcher)
        self._environ |= {"SMTP_URL": catcher.url, "MAIL_FROM": self._chosen.mail_from or SENDER}
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
                    raise StartError(f"{program.name} ended while starting ({program.bury()}){program.tail()}")
            if time.monotonic() > deadline:
                raise StartError(f"The API was not ready within {READY_WITHIN:g} s: {answer[1]}")
            self._signals.pause(5 * POLL)

    def _greeting(self) -> str:
        url = address.url(self._chosen)
        return f"""
The notification system is up. Ctrl-C stops it; the data stay in {self._root.path}

  Look  {url}/
  API   {url}/api/notifications
  Mail  {self._where_mail_goes()}

Try it:
{self._first_key()}  curl -s {url}/api/notifications -H 'Content-Type: application/json' \\
    {self._key_header()}-d '{{"type":"email","recipient":"test@example.com","message":"Hello"}}'
"""

    def _first_key(self) -> str:
        """How to make a key, where one is needed."""
        if self._chosen.auth == "off":
            return ""
        # One of the caller's own is in the caller's environment, and has a password.
        where = "" if self._chosen.database_url else f"DATABASE_URL='{self._environ['DATABASE_URL']}' "
        create = "keys create --client default --name my-app --scope send --scope read"
        return f"  export NOTIFY_KEY=$({where}{_command()} {create})\n"

    def _key_header(self) -> str:
        return "" if self._chosen.auth == "off" else '-H "Authorization: Bearer $NOTIFY_KEY" '

    def _where_mail_goes(self) -> str:
        if not _catches(self._chosen):
            return f"sent through {self._chosen.smtp.host}:{self._chosen.smtp.port}"
        prefix = "" if self._root.path == Path.cwd() / data.DEFAULT else f"DATA_DIR={self._root.path} "
        return f"kept here and sent nowhere; see it with: {prefix}{_command()} inbox"


def with_auth(chosen: Settings) -> Settings:
    """Nobody but this machine can reach loopback, so nobody needs a key there unless AUTH says so."""
    unsaid = not os.environ.get("AUTH", "").strip()
    return replace(chosen, auth="off") if unsaid and chosen.local else chosen


def _catches(chosen: Settings) -> bool:
    return not chosen.smtp_url and not (chosen.email_user and chosen.email_pass)


def _catcher_keep() -> int:
    """CATCHER_KEEP: how many caught mails are kept."""
    raw = os.environ.get("CATCHER_KEEP", "").strip() or "1000"
    if not raw.isdecimal() or not 1 <= int(raw) <= 1_000_000:
        raise SettingsError(f"CATCHER_KEEP is {raw!r}: give a number from 1 to 1000000")
    return int(raw)


def _command() -> str:
    """How we were called, as short as it can be typed from here."""
    called = Path(sys.argv[0]).absolute()
    return str(called.relative_to(Path.cwd())) if called.is_relative_to(Path.cwd()) else str(called)
