"""`notify clients` and `notify keys`, on a database of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

import settings
from cli.main import notify
from db import keys, providers
from db.database import connection, database, rows
from db.secrets import KeyText
from tests.environment import configured

Run = Any


@pytest.fixture
def run(database_url: str) -> Iterator[Run]:
    with configured(database_url=database_url):
        settings.load.cache_clear()
        yield lambda *words: CliRunner().invoke(notify, list(words))
        database.close()


def made(run: Run, *words: str) -> KeyText:
    result: Result = run("keys", "create", "--name", "app", *words)
    assert result.exit_code == 0, result.output
    key = KeyText.parse(result.stdout.removesuffix("\n"))
    assert key is not None
    return key


def test_a_key_is_the_only_line_on_stdout_and_works(run: Run) -> None:
    key = made(run, "--scope", "send", "--scope", "read", "--scope", "send")

    with connection():
        found = keys.live([key.id])[key.id]
    assert (found.digest, found.scopes, found.client.name) == (key.digest, frozenset({"send", "read"}), "default")


def test_the_command_line_can_create_admin_keys(run: Run) -> None:
    key = made(run, "--scope", "admin")

    with connection():
        assert keys.live([key.id])[key.id].scopes == frozenset({"admin"})


def test_a_test_key_is_shown_as_a_test_key(run: Run) -> None:
    assert str(made(run, "--scope", "send", "--sandbox")).startswith("ntf_test_")


def test_json_output_equals_the_answer_of_the_api(run: Run) -> None:
    shown = json.loads(run("keys", "create", "--name", "app", "--scope", "read", "--json").stdout)

    assert (shown["clientId"], shown["scopes"], shown["createdAt"][-1]) == (1, ["read"], "Z")
    assert KeyText.parse(shown["key"]) is not None


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--name", "app"), 2, "--scope"),
        (("--name", "", "--scope", "send"), 1, "--name: must not be empty"),
        (("--name", "a\nb", "--scope", "send"), 1, "--name: must be one line"),
        (("--name", "app", "--scope", "root"), 2, "--scope"),
        (("--name", "app", "--scope", "send", "--client", "nobody"), 1, "There is no client 'nobody'"),
        (("--name", "app", "--scope", "send", "--expires-at", "soon"), 2, "must be a time in the format of RFC 3339"),
        (("--name", "app", "--scope", "send", "--expires-at", "2020-01-01 00:00:00Z"), 1, "--expires-at: must be in"),
    ],
)
def test_invalid_options_of_keys_create_are_refused_with_a_sentence(
    run: Run, words: tuple[str, ...], code: int, said: str
) -> None:
    result = run("keys", "create", *words)

    assert result.exit_code == code
    assert said in result.stderr
    assert result.stdout == ""


def test_the_list_shows_no_secret(run: Run) -> None:
    key = made(run, "--scope", "send")
    shown, as_json = run("keys", "list"), run("keys", "list", "--json")

    assert shown.stdout.splitlines()[1].split()[:4] == [str(key.id), "app", "send", "live"]
    assert json.loads(as_json.stdout)["id"] == key.id
    assert key.secret not in shown.output + as_json.output


def test_a_key_is_rotated_with_overlap_and_once(run: Run) -> None:
    old = made(run, "--scope", "send")
    new = KeyText.parse(run("keys", "rotate", str(old.id)).stdout.strip())

    assert new is not None
    with connection():
        found = keys.live([old.id, new.id])
    assert found[old.id].expires_in == pytest.approx(86_400, abs=60)
    assert found[new.id].digest == new.digest
    again = run("keys", "rotate", str(old.id))
    assert (again.exit_code, again.stdout) == (1, "")


def test_a_rotation_without_overlap_ends_the_old_key(run: Run) -> None:
    old = made(run, "--scope", "send")

    assert run("keys", "rotate", str(old.id), "--overlap", "0").exit_code == 0
    with connection():
        assert old.id not in keys.live([old.id])


def test_a_revoked_key_is_refused(run: Run) -> None:
    key = made(run, "--scope", "send")

    assert [run("keys", "revoke", str(key.id)).exit_code for _ in range(2)] == [0, 0]
    with connection():
        assert keys.live([key.id]) == {}
    assert run("keys", "revoke", "99").exit_code == 1


def test_a_client_is_created_shown_listed_and_changed(run: Run) -> None:
    assert run("clients", "create", "--name", "shop", "--rate-limit", "5", "--sender", "@shop.example").exit_code == 0
    assert run("clients", "create", "--name", "shop").exit_code == 1
    changed = run("clients", "update", "shop", "--rate-limit", "none", "--daily-quota", "7", "--json")

    expected = {"name": "shop", "rateLimit": None, "dailyQuota": 7, "senders": ["@shop.example"]}
    assert json.loads(changed.stdout).items() >= {**expected, "senders": ["@shop.example"]}.items()
    assert json.loads(run("clients", "show", "shop", "--json").stdout) == json.loads(changed.stdout)
    assert [line.split()[1] for line in run("clients", "list").stdout.splitlines()[1:]] == ["default", "shop"]
    assert json.loads(run("clients", "update", "shop", "--no-senders", "--json").stdout)["senders"] == []
    for region, stored in (("CH", "CH"), ("none", None)):
        changed = run("clients", "update", "shop", "--phone-region", region, "--json")
        assert json.loads(changed.stdout)["phoneRegion"] == stored


def test_a_client_is_limited_to_some_providers_and_the_limit_removed(run: Run) -> None:
    assert run("clients", "list").exit_code == 0  # Connects.
    with connection():
        for name, channel in (("first", "email"), ("second", "email"), ("texts", "sms")):
            providers.report(name, {"channel": channel})
    limited = ("--provider", "second", "--provider", "texts", "--provider", "first")
    created = run("clients", "create", "--name", "shop", *limited)
    assert created.exit_code == 0, created.output
    shown = run("clients", "show", "shop", "--json")
    assert json.loads(shown.stdout)["providers"] == {"email": ["second", "first"], "sms": ["texts"]}
    assert run("clients", "list").stdout.splitlines()[-1].count("texts second first") == 1

    freed = run("clients", "update", "shop", "--all-providers", "--json")

    assert json.loads(freed.stdout)["providers"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "--name", "x", "--rate-limit", "0"), "--rate-limit: must be at least 1"),
        (("create", "--name", "x", "--sender", "nobody"), "--sender (number 1): must be a mail address, or @"),
        (("update", "nobody", "--rate-limit", "1"), "There is no client 'nobody'"),
        (("update", "default", "--provider", "gone"), "--provider: there is no provider 'gone'; "),
        (("show", "nobody"), "There is no client 'nobody'"),
    ],
)
def test_an_invalid_field_of_a_client_is_reported(run: Run, words: tuple[str, ...], said: str) -> None:
    result = run("clients", *words)

    assert result.exit_code == 1
    assert said in result.stderr


def test_an_update_without_a_change_is_a_usage_error(run: Run) -> None:
    result = run("clients", "update", "default")

    assert result.exit_code == 2
    assert "give at least one of --rate-limit, " in result.stderr


def test_a_database_of_another_version_is_refused_with_a_sentence(run: Run) -> None:
    assert run("keys", "list").exit_code == 0
    with connection():
        rows("DELETE FROM schema_migration WHERE name = '0004_clients'")

    result = run("keys", "list")
    assert (result.exit_code, "run `notify migrate`" in result.stderr) == (1, True)


def test_a_database_that_is_away_is_exit_code_3() -> None:
    with configured(database_url="postgresql://u:hunter2@127.0.0.1:9/d"):
        result = CliRunner().invoke(notify, ["keys", "list"])

    assert result.exit_code == 3
    assert "hunter2" not in result.output


def test_a_key_beyond_the_limit_of_a_client_is_refused_with_the_fix(run: Run) -> None:
    last = made(run, "--scope", "send")
    with connection():
        rows(
            "INSERT INTO keys (client_id, name, digest, scopes, sandbox)"
            " SELECT 1, 'old', digest, scopes, false FROM keys, generate_series(2, %s) WHERE id = %s",
            *(keys.MOST_LIVE, last.id),
        )
    refused = run("keys", "create", "--name", "app", "--scope", "send")
    assert refused.exit_code != 0
    assert "1,000 valid keys" in refused.stderr
    assert "notify keys list" in refused.stderr
    refused = run("keys", "rotate", str(last.id), "--overlap", "60")
    assert refused.exit_code != 0
    assert "--overlap 0" in refused.stderr
    assert run("keys", "rotate", str(last.id), "--overlap", "0").exit_code == 0
