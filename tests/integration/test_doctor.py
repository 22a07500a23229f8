"""`notify doctor` on real servers: healthy servers, each possible fault, and no changes."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
import redis
import trustme

from cli.doctor import postgresql, redis_server
from cli.up import running
from db import (
    breaker,
    callbacks,
    clients,
    incoming_reports,
    keys,
    live_stats,
    pauses,
    providers,
    refused_domains,
    workers,
)
from db.database import rows
from db.keys import Grant
from db.refused_domains import Refusal, Waits
from settings import Settings
from tests.conftest import TlsAuthority
from tests.integration.operating import Operator
from tests.integration.rows import accepted, alive, passed
from tests.smtp import Hang, Reply, SmtpServer

pytestmark = pytest.mark.usefixtures("redis_url")
# The servers of the tests are told not to wait for their disk.
CARELESS = ["fsync is off", "full_page_writes is off"]


@pytest.fixture
def well(operator: Operator, redis_url: str, smtp_server: SmtpServer, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    for server in (postgresql, redis_server):  # A busy machine is no server far away.
        monkeypatch.setattr(server, "SLOW", 60.0)
    mail = {"smtp_url": smtp_server.url, "mail_from": "noreply@example.com"}
    return Doctor(operator, {"redis_url": redis_url, **mail})


class Doctor:
    def __init__(self, operator: Operator, settings: dict[str, object]) -> None:
        self._operator, self._settings = operator, settings

    def found(self, **values: object) -> list[dict[str, Any]]:
        [document] = self._operator.json("doctor", **self._settings | values)
        findings: list[dict[str, Any]] = document["findings"]
        assert document["status"] == max((f["level"] for f in findings), key=["ok", "warning", "problem"].index)
        return findings

    def said(self, level: str, **values: object) -> list[str]:
        """All that it finds of this level, but for what is so in tests only."""
        found = [f"{f['check']}: {f['what']}" for f in self.found(**values) if f["level"] == level]
        return [line for line in found if not any(so in line for so in CARELESS)]

    def run(self, *words: str, **values: object) -> Any:
        return self._operator("doctor", *words, **self._settings | values)


@pytest.fixture
def staffed(store: Settings) -> Iterator[None]:
    alive(uuid4())
    keys.create(1, b"x" * 32, Grant("app", ["send"]))
    yield
    rows("DELETE FROM keys")


@pytest.mark.usefixtures("staffed")
def test_a_healthy_system_has_neither_problem_nor_warning(well: Doctor) -> None:
    assert well.said("problem") == []
    assert well.said("warning") == []
    checks = {one["check"] for one in well.found()}
    assert checks >= {"settings", "database", "clock", "schema", "workers", "backlog", "redis", "mail"}


@pytest.mark.usefixtures("staffed")
def test_setting_that_can_lose_the_database_is_a_problem_with_exit_code_1(well: Doctor) -> None:
    shown = well.run()
    assert shown.exit_code == 1
    assert "fsync is off: after a crash of the machine the whole database can be lost" in shown.stdout
    assert "\n           set fsync = on\n" in shown.stdout
    assert shown.stdout.endswith("\n2 problems\n")


@pytest.mark.usefixtures("staffed")
def test_a_warning_is_exit_code_0_without_the_option_strict(well: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "DANGEROUS", ())
    assert [well.run(*words).exit_code for words in ((), ("--strict",))] == [0, 0]
    pauses.pause("channel", "email")
    assert [well.run(*words).exit_code for words in ((), ("--strict",))] == [0, 1]


def test_no_live_worker_is_a_warning_and_with_waiting_notifications_a_problem(well: Doctor) -> None:
    assert "workers: none is alive: accepted notifications will wait" in well.said("warning")
    accepted()
    assert "workers: none is alive, and notifications are pending" in well.said("problem")


@pytest.mark.usefixtures("staffed")
def test_notification_that_is_long_overdue_is_reported_with_its_priority(well: Doctor) -> None:
    [id] = accepted()
    passed(90, id)
    assert well.said("warning") == ["backlog: the oldest due notification of the queue normal has waited for 2 min"]
    passed(3_600, id)
    assert well.said("problem") == ["backlog: the oldest due notification of the queue normal has waited for 1.0 h"]


@pytest.mark.usefixtures("staffed")
def test_an_open_breaker_and_a_pause_are_reported(well: Doctor) -> None:
    breaker.trip("mail:25", "connect: refused", 60)
    pauses.pause("channel", "email")
    [down] = well.said("problem")
    assert down.startswith("breaker: the breaker of mail:25 is open since 2")
    assert well.said("warning")[0].startswith("pauses: the channel email is paused since 2")


@pytest.mark.usefixtures("staffed")
def test_a_domain_that_a_provider_refuses_is_reported(well: Doctor) -> None:
    for _ in range(2):
        refused_domains.refused(Refusal("mail:25", "shop.example", "550 5.7.26 DMARC"), Waits(2, 5, 60))
    [told] = well.said("problem")
    assert told == "breaker: mail:25 refuses mail From shop.example: 550 5.7.26 DMARC"


def test_a_missing_key_is_a_warning_and_an_exposed_api_without_keys_a_problem(well: Doctor) -> None:
    assert "keys: there is no valid API key, so that nobody can use the API" in well.said("warning")
    assert not [line for line in well.said("warning", auth="off") if line.startswith("keys")]
    told = well.said("problem", auth="off", bind="0.0.0.0:8000")
    assert "keys: AUTH is off, and the API listens on addresses that other machines can reach" in told


def test_a_migration_that_is_missing_is_reported_with_the_command(well: Doctor) -> None:
    rows("UPDATE schema_migration SET name = '9999_future' WHERE name = '0013_blocks'")
    found = [one for one in well.found() if one["check"] == "schema"]
    rows("UPDATE schema_migration SET name = '0013_blocks' WHERE name = '9999_future'")
    assert [(one["level"], one["what"], one["fix"]) for one in found] == [
        ("problem", "the database lacks 0013_blocks", "run `notify migrate`")
    ]


def test_a_user_without_rights_is_told_which_tables(well: Doctor, bound: Settings) -> None:
    rows("DROP ROLE IF EXISTS weak")
    rows("CREATE ROLE weak LOGIN")
    rows("GRANT SELECT ON ALL TABLES IN SCHEMA public TO weak")
    told = well.said("problem", database_url=bound.database.url.replace("user=postgres", "user=weak"))
    rows("DROP OWNED BY weak")
    rows("DROP ROLE weak")
    [forbidden] = [line for line in told if "may not read and write" in line]
    assert "notifications" in forbidden


def test_few_free_connections_of_the_role_are_a_warning(well: Doctor) -> None:
    rows("ALTER ROLE postgres CONNECTION LIMIT 10")
    told = well.said("warning")
    rows("ALTER ROLE postgres CONNECTION LIMIT -1")
    assert [line for line in told if "connections are left; an API process and a worker process need 24" in line]


def test_a_transaction_that_was_left_open_is_reported(
    well: Doctor, bound: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "LONG", 0.0)
    other = psycopg2.connect(bound.database.url)
    other.cursor().execute("SELECT 1")
    told = well.said("warning")
    other.close()
    assert [line for line in told if "a transaction has been open for" in line]


def test_unreachable_servers_are_reported_without_their_passwords(well: Doctor) -> None:
    away = {
        "database_url": "postgresql://u:geheim@127.0.0.1:9/d",
        "redis_url": "redis://:geheim@127.0.0.1:9/0",
        "smtp_url": "smtp://u:geheim@127.0.0.1:9",
    }
    shown = well.run(**away)
    assert shown.exit_code == 1
    assert "geheim" not in shown.output
    told = well.said("problem", **away)
    assert [line.split(":")[0] for line in told] == ["database", "redis", "mail"]
    assert told[2].startswith("mail: 127.0.0.1:9, connect: ")


def test_wrong_settings_do_not_prevent_the_checks_of_the_servers(well: Doctor, operator: Operator) -> None:
    operator.environ = {"LOGIN_RATE": "0", "RETRY_LIMIT": "x", "BIND": "nowhere", "AUTH": "off"}
    found = well.found()
    assert [one["what"] for one in found if one["check"] == "settings"] == [
        "BIND is 'nowhere'",
        "LOGIN_RATE is '0'",
        "RETRY_LIMIT is 'x'",
    ]
    assert {one["check"] for one in found if one["level"] == "ok"} >= {"database", "redis"}
    assert [one["fix"] for one in found if one["check"] == "mail"] == ["fix the settings first"]


def test_a_redis_that_evicts_keys_is_a_warning(well: Doctor, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendonly", "no")
        told = [line for line in well.said("warning") if line.startswith("redis")]
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("appendonly", "yes")
    assert [line.split(":")[1].strip() for line in told] == [
        "maxmemory-policy is allkeys-lru",
        "it loses its data at a restart",
    ]


def test_a_redis_that_does_not_show_its_configuration_is_a_warning(well: Doctor, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.acl_setuser("shy", enabled=True, nopass=True, categories=["+@all"], commands=["-info"], keys=["*"])
        told = well.said("warning", redis_url=f"{redis_url}&username=shy&password=any")
        client.acl_deluser("shy")
    assert [line for line in told if line.startswith("redis: version and memory are unknown, because it refuses INFO")]


def test_unreachable_sentinels_are_reported_in_one_line(well: Doctor) -> None:
    [told] = well.said("problem", redis_url="redis+sentinel://u:geheim@127.0.0.1:9/mymaster")
    assert told == "redis: cannot be used: No master found for 'mymaster'"


def mails(well: Doctor, level: str, **values: object) -> list[str]:
    return [line for line in well.said(level, **values) if line.startswith("mail")]


def test_the_check_of_a_mail_server_sends_no_mail(well: Doctor, smtp_server: SmtpServer) -> None:
    [told] = mails(well, "ok")
    assert f"127.0.0.1:{smtp_server.port} answers in" in told
    assert told.endswith(", at most 20 connections, unencrypted")
    assert (smtp_server.mails, smtp_server.connections) == ([], 1)


def test_a_password_that_is_refused_is_reported_by_its_phase(well: Doctor, tls_authority: TlsAuthority) -> None:
    with SmtpServer(tls=tls_authority.context, users={"shop": "right"}) as server:
        url = f"smtp://shop:geheim@localhost:{server.port}?ca={tls_authority.ca}"
        [told] = mails(well, "problem", smtp_url=url)
        assert f"localhost:{server.port}, auth: 535" in told
        assert "geheim" not in told
        [greeted, good] = mails(well, "ok", smtp_url=url.replace("geheim", "right"))
    assert greeted.endswith("TLSv1.3, logged in")
    assert "its certificate is valid for" in good


def test_an_untrusted_certificate_is_a_problem(well: Doctor, tls_authority: TlsAuthority) -> None:
    with SmtpServer(tls=tls_authority.context) as server:
        [told] = mails(well, "problem", smtp_url=f"{server.url}?starttls=required")
        assert "starttls: " in told
        assert "certificate verify failed" in told
        assert "not verified" in mails(well, "ok", smtp_url=server.url)[1]


def test_a_certificate_that_expires_soon_is_a_warning(well: Doctor, tmp_path: Any) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(days=5, hours=1)
    authority.issue_cert("localhost", not_after=soon).configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with SmtpServer(tls=context, implicit_tls=True) as server:
        [told] = mails(well, "warning", smtp_url=f"smtps://localhost:{server.port}?ca={tmp_path / 'ca.pem'}")
    assert told == "mail: its certificate expires in 5 days"


def test_a_password_sent_in_clear_text_is_a_warning(well: Doctor) -> None:
    with SmtpServer(users={"shop": "pass"}) as server:
        url = f"smtp://shop:pass@127.0.0.1:{server.port}?starttls=off"
        assert mails(well, "warning", smtp_url=url) == ["mail: the password crosses the network unencrypted"]


@pytest.mark.parametrize(
    ("action", "said"), [(Reply(554, "5.7.1 go away"), "greeting: 554 5.7.1 go away"), (Hang(), "no answer in time")]
)
def test_a_mail_server_that_refuses_or_hangs_is_reported_in_time(
    well: Doctor, smtp_server: SmtpServer, action: Any, said: str
) -> None:
    smtp_server.on("connect", action)
    told = well.run("--timeout", "1")
    smtp_server.release()
    assert said in told.stdout
    assert told.exit_code == 1


@pytest.mark.usefixtures("staffed")
def test_outcomes_that_cannot_be_recorded_are_a_problem_with_the_reason(well: Doctor) -> None:
    kept = workers.Unrecorded((1, 2), "permission denied for table attempts")
    workers.seen(workers.Heartbeat(uuid4(), "host", 1, 8, unrecorded=kept), 30)
    [told] = well.said("problem")
    assert told.startswith("workers: 2 outcomes cannot be recorded")
    assert told.endswith("permission denied for table attempts")


def live_workers(*settings: dict[str, Any], provider: str = "mail:25", **more: Any) -> None:
    """Live workers, each with these of the settings that all should share."""
    for shared in settings:
        kept = workers.Kept(30, 600, provider, shared)
        workers.seen(workers.Heartbeat(uuid4(), "host", 1, 8, kept=kept, **more), 30)


@pytest.mark.usefixtures("staffed")
def test_workers_with_different_settings_are_reported_by_name(well: Doctor, smtp_server: SmtpServer) -> None:
    own = f"127.0.0.1:{smtp_server.port}"
    live_workers(
        {"MAX_ATTEMPTS": 5, "MAIL_FROM": "a@b.example"}, {"MAX_ATTEMPTS": 9, "MAIL_FROM": "a@b.example"}, provider=own
    )
    assert well.said("warning") == ["workers: live workers run with different MAX_ATTEMPTS: 5, 9"]


def test_the_breaker_of_an_unused_server_is_not_reported(well: Doctor, smtp_server: SmtpServer) -> None:
    own = f"127.0.0.1:{smtp_server.port}"
    for name in ("retired:25", own):
        breaker.trip(name, "connect: refused", 60)
    live_workers({}, provider=own)
    told = [line for line in well.said("problem") if line.startswith("breaker")]
    assert [line.split(" is open")[0] for line in told] == [f"breaker: the breaker of {own}"]
    assert [one.name for one in live_stats.live_stats(30, own).providers] == [own]
    assert [one.name for one in live_stats.live_stats(30).providers] == [own]
    live_workers({}, provider="retired:25")
    assert {one.name for one in live_stats.live_stats(30, own).providers} == {"retired:25", own}


@pytest.mark.usefixtures("staffed")
def test_a_mail_server_used_only_by_the_workers_is_reported(well: Doctor) -> None:
    live_workers({"CAUGHT_MAIL": "false"}, provider="other:587")
    [told] = well.said("warning")
    assert told.startswith("mail: live workers send through other:587, but SMTP_URL of this command names 127.0.0.1:")


def test_a_client_whose_providers_no_worker_has_is_a_problem(well: Doctor, smtp_server: SmtpServer) -> None:
    provider = f"127.0.0.1:{smtp_server.port}"
    live_workers({}, provider=provider)
    clients.create("shop", {"providers": {"email": ["gone", "old"]}})
    clients.create("other", {"providers": {"email": [provider, "gone"]}})

    told = (
        "clients: the client shop may use only gone, old for email, and no live worker has an enabled provider of this"
        " name: its notifications wait"
    )
    assert [line for line in well.said("problem") if line.startswith("clients:")] == [told]
    providers.report(provider, {"channel": "email"})
    providers.change(provider, {"enabled": False})
    assert len([line for line in well.said("problem") if line.startswith("clients:")]) == 2


def test_more_worker_processes_than_connections_are_a_warning(well: Doctor, smtp_server: SmtpServer) -> None:
    provider = f"127.0.0.1:{smtp_server.port}"
    live_workers({}, {}, {}, provider=provider)
    url = f"{smtp_server.url}?connections="
    [told] = mails(well, "warning", smtp_url=f"{url}2")
    assert told == "mail: 3 worker processes share 2 connections, so that some of them wait"
    assert mails(well, "warning", smtp_url=f"{url}3") == []


@pytest.mark.usefixtures("staffed")
@pytest.mark.parametrize(("caught", "level"), [("true", "ok"), ("false", "warning")])
def test_the_workers_report_whether_mail_is_caught(
    well: Doctor, monkeypatch: pytest.MonkeyPatch, redis_url: str, caught: str, level: str
) -> None:
    live_workers({"CAUGHT_MAIL": caught}, provider="127.0.0.1:2525")
    monkeypatch.setattr(running, "joined", lambda given: given.changed(REDIS_URL=redis_url))
    [told] = [one for one in well.found(redis_url="", smtp_url="", mail_from="") if one["check"] == "mail"]
    assert (told["level"], "no mail is delivered" in told["what"]) == (level, caught == "true")


def callback(endpoint: int, status: str = "failed", ago: float = 0) -> None:
    """One to this endpoint that has come to this end."""
    ended = "NULL" if status == "pending" else f"now() - {ago} * interval '1 second'"
    due = "now()" if status == "pending" else "NULL"
    reason = "'exhausted'" if status == "failed" else "NULL"
    rows(
        "INSERT INTO notifications (client_id, type, recipient, subject, message, lane, callback_id, subject_id,"
        " status, attempt_count, retry_count, last_error, failure_reason, created_at, finished_at, next_attempt_at,"
        f" dispatch_after) VALUES (1, 'callback', '', 'notification.sent', '{{}}', 'callback', %s, 1, %s, 3, 2,"
        f" '503 down', {reason}, now() - %s * interval '1 second', {ended}, {due}, {due})",
        *(endpoint, status, ago),
    )


@pytest.mark.usefixtures("staffed")
def test_an_endpoint_that_keeps_failing_is_a_warning_until_a_callback_succeeds(well: Doctor) -> None:
    hook = callbacks.create(callbacks.New(1, "https://hook.example", "", ["sent"], "whsec_x"), 10)
    assert hook is not None
    for ago in range(400, 0, -1):
        callback(hook["id"], "failed" if ago > 20 else "pending", ago)
    [told] = well.said("warning")
    assert told.startswith(f"callbacks: endpoint {hook['id']} of client default keeps failing: 400 callbacks since 2")
    assert told.endswith("the last one with: 503 down")
    callback(hook["id"], "sent")
    assert well.said("warning") == []


@pytest.mark.usefixtures("staffed")
def test_a_disabled_or_occasionally_failing_endpoint_is_no_warning(well: Doctor) -> None:
    for url in ("https://a.example", "https://b.example"):
        assert callbacks.create(callbacks.New(1, url, "", ["sent"], "whsec_x"), 10)
    first, second = (one["id"] for one in callbacks.listed(1))
    for ago in range(10, 0, -1):
        callback(first, "failed", ago)
    callbacks.gone(first, "410")
    callback(second, "failed", 2)
    callback(second, "failed", 1)
    assert well.said("warning") == []


def test_refused_webhooks_are_a_warning(well: Doctor) -> None:
    incoming_reports.note_rejected({"post": 3}, "the signature is wrong")
    [said] = [words for words in well.said("warning") if "webhook" in words]
    assert (
        said
        == "reports: 3 requests to the webhook of post were refused, the last one within a day: the signature is wrong"
    )
