"""A whole run, with all that can go wrong in it: no line of any process holds what its readers must not know."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import Any

import psycopg2
import pytest
import redis
from psycopg2.extensions import parse_dsn

from cli.servers.postgres import Postgres
from cli.servers.valkey import Valkey
from redaction import masked
from tests import keys
from tests.client import NOTIFICATIONS, Client
from tests.eventually import eventually
from tests.hooks import Hooks, status
from tests.raw_http import exchange
from tests.smtp import Reply, SmtpServer
from tests.system import System

# Each has its own word, so that a test that fails says what came through.
WORDS = {
    "recipient": "leak-recipient",
    "refused": "leak-refused",
    "deferred": "leak-deferred",
    "sender": "leak-sender",
    "batch": "leak-batch",
    "suppressed": "leak-suppressed",
    "subject": "leak-subject",
    "message": "leak-message",
    "html": "leak-html",
    "attachment": "leak-attachment",
    "variable": "leak-variable",
    "template": "leak-text-of-a-template",
    "metadata": "leak-metadata",
    "key": "leak-idempotency-key",
    "hook": "leak-hook-token",
    "smtp": "leak-smtp-password",
    "database": "leak-database-password",
    "unsubscribe": "leak-unsubscribe-secret-of-32-characters",
    "malformed": "leak-malformed",
    "parameter": "leak-parameter",
    "path": "leak-path",
}
TEMPLATE = {"subject": "Hello {{ name }}", "text": f"{WORDS['template']} {{{{ name }}}}"}
# What is drawn during the run.
DRAWN = ("bearer", "wrong key", "callback secret", "attachment in base64")
NAMES = [*WORDS, *DRAWN]
# The master of the workers is Dramatiq's own and knows nothing of our settings.
MASTER = re.compile(r"\[[-\d :,]+\] \[PID \d+\] \[MainThread\] \[dramatiq\.MainProcess\] \[\w+\] ")


@pytest.fixture(scope="module")
def written(
    postgres_server: Postgres,
    module_database_url: str,
    redis_server: Valkey,
    mail_server: SmtpServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """All that the processes of one run have written to stdout and stderr."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    mail_server.users["sender"] = WORDS["smtp"]
    with Hooks() as hooks:
        system = System(
            tmp_path_factory.mktemp("logs"),
            database_url=f"{module_database_url}&password={WORDS['database']}",
            redis_url=redis_server.url,
            smtp_url=f"smtp://sender:{WORDS['smtp']}@127.0.0.1:{mail_server.port}?starttls=off",
            auth="required",
            mail_from=f"{WORDS['sender']}@sender.example",
            unsubscribe_secret=WORDS["unsubscribe"],
            callback_allowed_networks="127.0.0.0/8",
            callback_max_attempts=2,
            callback_min_backoff=0.1,
            callback_max_backoff=0.1,
            max_attempts=2,
            breaker_threshold=1,
        )
        run = Run(system, mail_server, hooks)
        try:
            run.start()
            run.use()
            run.go_wrong()
            with _away(postgres_server, module_database_url):
                run.go_without_database()
            run.ended(run.post("batch"))
        finally:
            system.stop()
    return "".join(log.read_text() for log in sorted(system.directory.glob("*.log")))


class Run:
    """One client uses everything there is."""

    def __init__(self, system: System, mail_server: SmtpServer, hooks: Hooks) -> None:
        self.system, self.mail_server, self.hooks = system, mail_server, hooks

    def start(self) -> None:
        self.system.start_api()
        self.system.start_workers()
        self.client = Client(self.system.port)
        self.client.key = str(keys.key(self.system.ledger))
        WORDS["bearer"] = self.client.key.rpartition("_")[2]

    def post(self, to: str, **more: Any) -> int:
        """A notification that is full of what must not be told."""
        document: dict[str, Any] = {
            "type": "email",
            "recipient": f"{WORDS[to]}@recipient.example",
            "subject": WORDS["subject"],
        }
        document |= {"message": WORDS["message"], "html": WORDS["html"], "metadata": {"a": WORDS["metadata"]}, **more}
        answer = self.client.post(NOTIFICATIONS, document, idempotency_key=f"{WORDS['key']}-{to}")
        assert answer.status == 201, answer.raw
        return int(answer.json["id"])

    def use(self) -> None:
        """What works: a template, attachments, a batch, a suppression, callbacks."""
        made = self.client.post("/api/callbacks", {"url": f"{self.hooks.url}&token={WORDS['hook']}"})
        WORDS["callback secret"] = made.json["secret"]
        assert self.client.send("PUT", "/api/templates/welcome", TEMPLATE).status == 201
        content = base64.b64encode(WORDS["attachment"].encode()).decode()
        WORDS["attachment in base64"] = content
        files = [{"filename": "a.txt", "contentType": "text/plain", "content": content}]
        self.ended(self.post("recipient", attachments=files))
        self.post("recipient", attachments=files)  # The same again.
        filled = {"template": "welcome", "variables": {"name": WORDS["variable"]}}
        item = {"type": "email", "recipient": f"{WORDS['batch']}@recipient.example"}
        answer = self.client.post(f"{NOTIFICATIONS}/batch", {"items": [item | filled, item | {"message": "Hi"}]})
        assert answer.status == 201, answer.raw
        address = f"{WORDS['suppressed']}@recipient.example"
        assert self.client.post("/api/suppressions", {"address": address}).status == 201
        self.post("suppressed")
        assert self.client.get(f"/api/suppressions/{address}").status == 200
        assert self.client.request("DELETE", f"/api/suppressions/{address}").status == 204

    def go_wrong(self) -> None:
        """What does not: servers that repeat what they were told, clients that send nonsense."""
        echo = f"{WORDS['refused']}@recipient.example: {WORDS['message']}"
        self.mail_server.on("rcpt", Reply(550, f"5.1.1 <{echo}"), to=f"{WORDS['refused']}@recipient.example")
        deferred = f"{WORDS['deferred']}@recipient.example"
        self.mail_server.on("rcpt", Reply(421, f"4.3.0 <{deferred}> too much, {WORDS['smtp']}"), to=deferred)
        self.hooks.answer = status(500, body=WORDS["message"])
        ids = [self.post("refused"), self.post("deferred")]
        for id in ids:
            self.ended(id)
        self.client.post(NOTIFICATIONS, {"type": "email", "recipient": WORDS["malformed"], WORDS["malformed"]: 1})
        self.client.request("POST", NOTIFICATIONS, f'{{"{WORDS["malformed"]}'.encode())
        self.client.get(NOTIFICATIONS, **{WORDS["parameter"]: WORDS["parameter"]})
        self.client.get(f"/{WORDS['path']}")
        stranger = Client(self.system.port)
        stranger.key = f"ntf_live_1_{WORDS['bearer'][::-1]}"
        WORDS["wrong key"] = WORDS["bearer"][::-1]
        assert stranger.get(NOTIFICATIONS).status == 401
        for nonsense in (
            f"{WORDS['malformed']} / HTTP/1.1\r\n\r\n",
            f"GET /{WORDS['path']} {WORDS['malformed']}\r\n\r\n",
        ):
            exchange(self.system.port, nonsense.encode())

    def go_without_database(self) -> None:
        """Nothing can be stored or read."""
        document = {"type": "email", "recipient": f"{WORDS['recipient']}@x.example", "message": WORDS["message"]}
        assert self.client.post(NOTIFICATIONS, document, idempotency_key=WORDS["key"]).status == 503
        assert self.client.get(f"{NOTIFICATIONS}/1").status == 503
        log = self.system.workers[0].log
        eventually(lambda: "database.unavailable" in log.read_text(), saying=self.system.logs)

    def ended(self, id: int) -> None:
        path = f"{NOTIFICATIONS}/{id}"
        eventually(lambda: self.client.get(path).json.get("finishedAt"), within=20, saying=self.system.logs)


@contextmanager
def _away(server: Postgres, url: str) -> Iterator[None]:
    """For everybody the database is closed."""
    name = parse_dsn(url)["dbname"]

    def admin(statement: str) -> None:
        with closing(psycopg2.connect(server.url_of("postgres"))) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(statement)

    admin(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    admin(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    try:
        yield
    finally:
        admin(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def _events(written: str) -> list[Any]:
    return [json.loads(line) for line in written.splitlines() if not MASTER.match(line)]


@pytest.mark.parametrize("name", NAMES)
def test_no_line_of_a_whole_run_holds_what_its_readers_must_not_know(written: str, name: str) -> None:
    found = [line for line in written.splitlines() if WORDS[name] in line]

    assert not found, f"{name} in {found[0]}"


def test_the_run_has_told_of_all_that_happened(written: str) -> None:
    told = {event["event"] for event in _events(written)}

    assert told >= {"request", "notification.accepted", "notification.replayed", "notification.sent"}
    assert told >= {"notification.retried", "notification.failed", "batch.accepted", "callback.created"}
    assert told >= {"template.stored", "suppression.added", "suppression.removed", "worker.started", "worker.stopped"}
    assert told >= {"request.unavailable", "database.unavailable", "breaker.opened", "breaker.closed"}


def test_the_words_of_a_mail_server_are_told_without_whom_they_are_about(written: str) -> None:
    [opened] = [event for event in _events(written) if event["event"] == "breaker.opened"]

    assert opened["reason"] == f"rcpt: 421 4.3.0 <{masked(WORDS['deferred'] + '@recipient.example')}> too much, ***"


def test_each_line_is_json_that_says_when_how_grave_what_and_who(written: str) -> None:
    for event in _events(written):
        assert datetime.fromisoformat(event["time"]).utcoffset() == timedelta(0), event
        assert event["time"].endswith("Z"), event
        assert event["level"] in {"info", "warning", "error", "critical"}, event
        assert event["event"], event
        assert re.fullmatch(r"(gunicorn|api|worker)/\d+", event["process"]), event


def test_a_notification_leads_from_the_worker_s_line_to_its_request(written: str) -> None:
    events = _events(written)
    [sent, *_] = [e for e in events if e["event"] == "notification.sent"]
    [accepted] = [e for e in events if e["event"] == "notification.accepted" and e["id"] == sent["id"]]
    [request] = [e for e in events if e["event"] == "request" and e["request_id"] == accepted["request_id"]]

    assert (request["method"], request["route"], request["status"]) == ("POST", "/api/notifications", 201)
    assert request["client"] == 1
    assert request["milliseconds"] > 0


def test_who_only_asks_whether_we_live_leaves_no_line(written: str) -> None:
    routes = {event.get("route") for event in _events(written) if event["event"] == "request"}

    assert "/api/notifications" in routes
    assert None in routes
    assert "/readyz" not in routes
