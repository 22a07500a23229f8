"""A disabled client: its keys, its pending notifications, and enabling it again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

import settings
from cli.main import notify
from cli.servers.valkey import Valkey
from db import callbacks, clients, keys, lifecycle, pauses
from db import database as bound
from db.callbacks import New
from db.clients import Client
from db.database import connection, database, rows
from tests.client import NOTIFICATIONS
from tests.contract import CheckedClient, faults
from tests.environment import configured
from tests.eventually import outlast
from tests.integration.api import Api, running
from tests.integration.rows import CLIENT, GRACE, WORKER, accepted, draft, status
from tests.keys import client, key

Run = Callable[..., Result]


@pytest.fixture
def enabled_again(store: object) -> Iterator[None]:
    """The module's other tests meet the client as it was."""
    yield
    clients.enable(CLIENT)


def made_key() -> int:
    made = keys.create(CLIENT, b"x" * 32, keys.Grant("test", ["read"]))
    assert made is not None
    return made.id


def disabled(id: int = CLIENT) -> Client:
    found = clients.disable(id)
    assert found is not None
    return found


@pytest.mark.usefixtures("enabled_again")
def test_no_key_of_a_disabled_client_works_until_it_is_enabled() -> None:
    id = made_key()
    assert disabled().disabled_at is not None
    assert keys.live([id]) == {}
    assert clients.enable(CLIENT) == clients.one(CLIENT)
    assert keys.live([id]).keys() == {id}


@pytest.mark.usefixtures("enabled_again")
def test_disabling_a_client_twice_changes_nothing() -> None:
    assert disabled() == disabled()


@pytest.mark.usefixtures("store")
def test_an_unknown_client_is_neither_disabled_nor_enabled() -> None:
    assert clients.disable(999_999) is None
    assert clients.enable(999_999) is None
    assert clients.change(999_999, {}, disabled=True) is None
    assert rows("SELECT count(*) FROM pauses") == [(0,)]


@pytest.mark.usefixtures("enabled_again")
def test_disabling_a_client_holds_only_its_own_notifications() -> None:
    [id] = accepted()
    [other] = lifecycle.accept([draft()._replace(client_id=2)], GRACE)
    disabled()
    assert [c.id for c in lifecycle.claim([id, other.id], WORKER)] == [other.id]
    clients.enable(CLIENT)
    assert [c.id for c in lifecycle.claim([id], WORKER)] == [id]


@pytest.mark.usefixtures("enabled_again")
def test_a_disabled_client_gets_no_callbacks_unlike_a_paused_one() -> None:
    callbacks.create(New(CLIENT, "https://example.com/hook", "", ["cancelled"], "s"), 10)
    [id] = accepted()
    assert lifecycle.cancel(id, CLIENT)
    [(told,)] = rows("SELECT id FROM notifications WHERE subject_id = %s", id)
    disabled()
    assert lifecycle.claim([told], WORKER) == []
    clients.enable(CLIENT)
    pauses.pause("client", str(CLIENT))
    assert [c.id for c in lifecycle.claim([told], WORKER)] == [told]


@pytest.mark.usefixtures("enabled_again")
def test_enabling_a_client_does_not_end_its_own_pause() -> None:
    [id] = accepted()
    pauses.pause("client", str(CLIENT))
    disabled()
    clients.enable(CLIENT)
    assert lifecycle.claim([id], WORKER) == []
    assert [(p.kind, p.name) for p in pauses.in_force(CLIENT)] == [("client", str(CLIENT))]


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, auth="required", key_cache=1) as api:
        yield api


def coming_in(api: Api, **whose: Any) -> CheckedClient:
    asking = api.client
    asking.key = str(key(api.sql, **whose))
    return asking


def test_the_keys_of_a_client_disabled_over_the_api_are_refused_within_a_second(api: Api) -> None:
    admin, owner = coming_in(api), client(api.sql, "switched")
    place, theirs = f"/api/clients/{owner}", coming_in(api, of=owner)
    assert theirs.notify("a@example.com").status == 201

    off = admin.send("PATCH", place, {"disabled": True, "rateLimit": 5}).json
    assert (off["disabledAt"] is not None, off["rateLimit"]) == (True, 5)
    outlast(1.0)
    assert [theirs.get(NOTIFICATIONS).status, theirs.notify("a@example.com").status] == [401, 401]
    assert admin.get(place).json["disabledAt"] == off["disabledAt"]
    assert admin.get(NOTIFICATIONS).status == 200

    assert admin.send("PATCH", place, {"disabled": False}).json["disabledAt"] is None
    outlast(1.0)
    assert theirs.get(NOTIFICATIONS).status == 200
    assert theirs.get(NOTIFICATIONS).json["items"][0]["status"] == "pending"


@pytest.mark.parametrize("wrong", [None, 1, "true", []])
def test_disabled_is_true_or_false(api: Api, wrong: object) -> None:
    refused = coming_in(api).send("PATCH", "/api/clients/1", {"disabled": wrong})

    assert (refused.status, list(faults(refused))) == (422, ["/disabled"])


@pytest.fixture
def run(database_url: str) -> Iterator[Run]:
    with configured(database_url=database_url):
        settings.load.cache_clear()
        bound.bind(settings.load().database)
        yield lambda *words: CliRunner().invoke(notify, list(words))
        database.close()


def test_the_command_line_disables_and_enables(run: Run) -> None:
    with connection():
        [id] = accepted()
    off = run("clients", "disable", "default", "--json")
    assert (off.exit_code, json.loads(off.stdout)["disabledAt"] is not None) == (0, True)
    with connection():
        assert status(id) == "pending"
        assert lifecycle.claim([id], WORKER) == []
    on = run("clients", "enable", "default", "--json")
    assert json.loads(on.stdout)["disabledAt"] is None
    with connection():
        assert [c.id for c in lifecycle.claim([id], WORKER)] == [id]


def test_the_command_line_cancels_pending_notifications_on_request(run: Run) -> None:
    with connection():
        ids = accepted(1_001)
    said = run("clients", "disable", "default", "--cancel")
    assert (said.exit_code, said.stdout.splitlines()[-1]) == (0, "Cancelled: 1001")
    with connection():
        assert rows("SELECT DISTINCT status FROM notifications WHERE id = ANY(%s)", ids) == [("cancelled",)]


@pytest.mark.parametrize("word", ["disable", "enable"])
def test_an_unknown_client_is_reported(run: Run, word: str) -> None:
    refused = run("clients", word, "nobody")
    assert (refused.exit_code, "There is no client 'nobody'" in refused.stderr) == (1, True)
