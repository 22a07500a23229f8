"""`notify erase`, `notify export` and `notify audit`, on a database of their own."""

from __future__ import annotations

import getpass
import json
import signal
import subprocess
import sys
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.main import notify
from db.database import bind, connection, database, rows
from settings import Settings
from tests.environment import configured
from tests.eventually import eventually
from tests.integration.everywhere import holding
from tests.integration.rows import CLIENT, draft
from tests.integration.test_erasures import ANN, claimed, sent_to, stored
from tests.processes import ROOT

pytestmark = pytest.mark.usefixtures("own_store")
Run = Any


@pytest.fixture
def run(own_store: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command; this thread's connection is open again afterwards."""

    monkeypatch.setattr("api.resources.exporting.ROWS", 2)

    def run(*words: str, given: str | None = None) -> Result:
        database.close()
        with configured(database_url=own_store.database.url):
            result = CliRunner().invoke(notify, list(words), input=given)
        bind(own_store.database)
        database.connect(reuse_if_open=True)
        return result

    return run


def test_erase_asks_for_confirmation_and_reports_its_counts(run: Run) -> None:
    stored(sent_to())
    refused = run("erase", ANN, given="n\n")
    assert (refused.exit_code, holding(ANN) != set()) == (1, True)
    assert "Erase 1 notifications to ann@example.com and 0 with it in cc or bcc for ever?" in refused.stderr
    assert rows("SELECT id FROM erasures") == []
    done = run("erase", "ANN@example.com", given="y\n")
    assert (done.exit_code, holding(ANN)) == (0, set())
    assert "done" in done.stdout


def test_without_a_terminal_erase_needs_the_option_yes(run: Run) -> None:
    stored(sent_to())
    assert run("erase", ANN).exit_code == 1
    assert holding(ANN) != set()
    shown = json.loads(run("erase", ANN, "--yes", "--json").stdout)
    assert (shown["status"], shown["cancelled"], shown["erased"], shown["left"]) == ("done", 1, 1, 0)


def test_a_dry_run_counts_and_changes_nothing(run: Run) -> None:
    stored(sent_to())
    run("suppressions")
    shown = json.loads(run("erase", ANN, "--dry-run", "--json").stdout)
    assert shown == {"dryRun": True, "notifications": {"pending": 1}, "copies": 0, "suppressed": False}
    assert "pending" in run("erase", ANN, "--dry-run").stdout
    assert rows("SELECT count(*) FROM audit") == rows("SELECT count(*) FROM erasures") == [(0,)]


def test_erase_reports_that_workers_erase_a_notification_that_is_being_sent(run: Run) -> None:
    claimed(stored(sent_to()))
    result = run("erase", ANN, "--yes")
    assert (result.exit_code, "erasing" in result.stdout) == (0, True)
    assert "Workers erase" in result.stderr


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("erase", "nobody", "--yes"), "ADDRESS: must be a mail address"),
        (("erase", ANN, "--client", "nobody"), "no client 'nobody'"),
        (("export", "--recipient", "nobody"), "--recipient: must be a mail address"),
        (("export", "--after", "x"), "--after"),
        (("export", "--client", "nobody"), "no client 'nobody'"),
        (("audit", "--client", "nobody"), "no client 'nobody'"),
    ],
)
def test_invalid_arguments_are_refused_with_a_sentence(run: Run, words: tuple[str, ...], why: str) -> None:
    result = run(*words)
    assert (result.exit_code, why in result.stderr) == (1, True), result.stderr


def test_an_export_ends_with_its_count_and_can_be_continued(run: Run) -> None:
    for n in range(5):
        stored(draft(f"n{n}@example.com"))
    stored(sent_to())
    found = [json.loads(line) for line in run("export", "--attachments").stdout.splitlines()]
    assert [line["kind"] for line in found] == ["client", "audit", *["notification"] * 6, "end"]
    assert found[-1] == {"kind": "end", "count": 8}
    assert found[-2]["data"]["attachments"][0]["content"] == "YW5uQGV4YW1wbGUuY29t"
    rest = [
        json.loads(line) for line in run("export", "--attachments", "--after", found[3]["cursor"]).stdout.splitlines()
    ]
    assert rest[:-1] == found[4:-1]
    [one, end] = [json.loads(line) for line in run("export", "--recipient", "ANN@example.com").stdout.splitlines()]
    assert (one["data"]["recipient"], end["count"]) == (ANN, 1)


def test_acts_of_the_command_line_are_recorded_with_its_user(run: Run) -> None:
    run("clients", "create", "--name", "shop")
    run("clients", "update", "shop", "--rate-limit", "5", "--sender", "@example.com")
    run("keys", "create", "--client", "shop", "--name", "k", "--scope", "send")
    run("keys", "rotate", "1")
    run("keys", "revoke", "1")
    run("keys", "revoke", "1")
    run("clients", "disable", "shop", "--cancel")
    run("clients", "enable", "shop")
    run("erase", ANN, "--client", "shop", "--yes")
    run("export", "--client", "shop")
    result = run("audit", "--client", "shop", "--json")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["act"] for record in found] == [
        *("client.created", "client.changed", "key.created", "key.rotated", "key.revoked"),
        *("client.changed", "client.changed", "erasure.requested", "erasure.done", "export.begun"),
    ]
    assert {(record["actor"], record["name"]) for record in found} == {("cli", getpass.getuser())}
    assert found[1]["detail"] == {"rateLimit": 5, "senders": 1}
    assert "example.com" not in result.stdout
    shown = run("audit", "--act", "key.created", "--limit", "1").stdout
    assert "key.created" in shown
    assert "key.rotated" not in shown
    assert run("audit", "--from", "yesterday").exit_code == 2


def test_commands_that_use_only_the_database_need_no_redis() -> None:
    names = ("keys", "clients", "retention", "erase", "export", "audit")
    modules = ", ".join(f"cli.operator.{name}" for name in names)
    program = f"import {modules}, sys; sys.exit('actors.queue.broker' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env={}, check=True)


def test_audit_follow_prints_new_records(own_store: Settings) -> None:
    command = [sys.executable, "-m", "cli.main", "audit", "--follow", "--json"]
    environ = {"DATABASE_URL": own_store.database.url, "PYTHONUNBUFFERED": "1"}
    rows("INSERT INTO audit (act, outcome, actor) VALUES ('first', 'done', 'cli')")
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert json.loads(process.stdout.readline())["act"] == "first"
            with connection():
                rows("INSERT INTO audit (act, outcome, actor) VALUES ('second', 'done', 'cli')")
            assert json.loads(process.stdout.readline())["act"] == "second"
            process.send_signal(signal.SIGINT)
            eventually(lambda: process.poll() is not None)
            assert b"Traceback" not in (process.stderr.read() if process.stderr else b"")
        finally:
            process.kill()  # or the end of the block would wait for ever
    assert CLIENT == 1
