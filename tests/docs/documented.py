"""The system that the documents speak of: an API that wants no key, one that wants one, a worker, a mail catcher."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import redis

from cli.up.catcher import Catcher
from cli.up.fakes import Fakes
from cli.up.mailbox import Slot
from cli.up.push_fake import PUSH
from cli.up.sms_fake import SMS
from tests.dns_server import DnsServer
from tests.emptying import empty
from tests.eventually import eventually
from tests.keys import EVERY, key
from tests.processes import ROOT
from tests.system import System, free_port

# Addresses in the documents. Where keys are wanted is the same API by its other name.
LOCAL, WITH_KEYS, PUBLIC = "http://127.0.0.1:8000", "http://localhost:8000", "https://notify.example.com"
RECEIVER = r"\b9000\b"  # the port of the reader's own program
DOMAIN_KEYS = "k" * 32
SUBMISSION = r"\b2587\b"  # the port of `notify smtp`
QUICK = {
    "mail_from": "noreply@localhost",
    "web_concurrency": 1,
    "public_url": PUBLIC,
    "unsubscribe_secret": "s" * 40,
    "callback_allowed_networks": "127.0.0.0/8",
    "callback_min_backoff": 0.3,
    # A new key works at once.
    "key_cache": 0.05,
}


class Documented:
    """All that a reader has started before the first block of a page."""

    def __init__(self, directory: Path, database_url: str, redis_url: str) -> None:
        self._redis_url = redis_url
        inbox = Slot(directory / "data" / "mail", 1000)
        self._catcher, self._fakes = Catcher(inbox), Fakes(inbox, [SMS, PUSH])
        self._catcher.start()
        self._fakes.start()
        self._dns = DnsServer()
        self._dns.start()
        where = {"database_url": database_url, "redis_url": redis_url, "smtp_url": self._catcher.url, **QUICK}
        where |= {"domain_keys_secret": DOMAIN_KEYS, "dns_server": self._dns.address}
        where |= {name.lower(): url for name, url in self._fakes.environment.items()}
        self.directory = directory
        self.open = System(self._folder("open"), **where)  # type: ignore[arg-type]
        self.closed = System(self._folder("closed"), auth="required", **where)  # type: ignore[arg-type]
        self.sql = self.open.sql
        self._receiver, self._submission = free_port(), free_port()
        # What a migration has put there, and what the processes have said of themselves.
        filled = (table for table in self._tables() if self.sql.rows(f"SELECT 1 FROM {table} LIMIT 1"))
        self._kept = {"workers", *filled}

    def start(self) -> None:
        """Start it."""
        self.open.spawn_workers()
        self.open.start_api()
        self.closed.start_api()

    def stop(self) -> None:
        """Stop it."""
        self.closed.stop()
        self.open.stop()
        self._catcher.stop()
        self._dns.stop()
        self._fakes.stop()

    def logs(self) -> str:
        """The ends of all logs."""
        return self.open.logs() + self.closed.logs()

    def begin(self) -> dict[str, str]:
        """Make all as new for a page; the environment that its blocks find."""
        self.sql.rows("DELETE FROM notifications WHERE status = 'pending'; SELECT 1")
        eventually(lambda: not self._busy(), within=20, saying=self.logs)
        empty(self.sql.rows, set(self._tables()) - self._kept)
        self.sql.rows("DELETE FROM clients WHERE id > 1; SELECT setval('clients_id_seq', 1)")
        self.sql.rows("UPDATE clients SET disabled_at = NULL, phone_region = NULL; SELECT 1")
        with redis.Redis.from_url(self._redis_url) as client:
            client.flushall()
        for mail in (self.directory / "data" / "mail").glob("*.eml"):
            mail.unlink()
        return self._environ()

    def _tables(self) -> list[str]:
        return [table for (table,) in self.sql.rows(TABLES)]

    def _busy(self) -> bool:
        [(count,)] = self.sql.rows("SELECT count(*) FROM notifications WHERE status = 'processing'")
        return bool(count)

    def _environ(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
        return inherited | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "DATABASE_URL": self.open.environ["DATABASE_URL"],
            "REDIS_URL": self._redis_url,
            "REDIS_NAMESPACE": self.open.environ["REDIS_NAMESPACE"],
            "SMTP_URL": self.open.environ["SMTP_URL"],
            "DOMAIN_KEYS_SECRET": DOMAIN_KEYS,
            "DNS_SERVER": self._dns.address,
            "MAIL_FROM": self.open.environ["MAIL_FROM"],
            "DATA_DIR": str(self.directory / "data"),
            "NOTIFY_URL": f"http://127.0.0.1:{self.open.port}",
            "NOTIFY_SMTP_LISTEN": f"127.0.0.1:{self._submission}",
            "NOTIFY_KEY": str(key(self.sql, EVERY)),
        }

    def addressed(self, text: str) -> str:
        """With the addresses of this system in the place of those that the documents name."""
        here = f"http://127.0.0.1:{self.open.port}"
        there = f"http://127.0.0.1:{self.closed.port}"
        text = text.replace(LOCAL, here).replace(WITH_KEYS, there).replace(PUBLIC, there)
        text = re.sub(SUBMISSION, str(self._submission), text)
        return re.sub(RECEIVER, str(self._receiver), text)

    def _folder(self, name: str) -> Path:
        folder = self.directory / name
        folder.mkdir(parents=True)
        return folder


TABLES = """SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition"""
