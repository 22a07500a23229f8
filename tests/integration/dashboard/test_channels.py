"""Pages of notifications of every channel: none of them expects the fields of a mail."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from actors.channels.registry import channels
from cli.servers.valkey import Valkey
from tests.client import Client
from tests.dashboard import Person
from tests.integration.api import Api, running

OPTIONS = {"push": '{"payload": {}}', "chat": '{"data": "{\\"x\\": 1}"}'}
MESSAGES = {"webhook": '{"orderId": 4711}'}


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url) as api:
        yield api


def stored(api: Api, type: str) -> int:
    """A notification of this type that waits for tomorrow."""
    [(id,)] = api.sql.rows(
        "INSERT INTO notifications (type, lane, recipient, subject, message, mail, next_attempt_at, dispatch_after)"
        " SELECT %s, %s, 'somewhere', '', %s, %s, t, t FROM (SELECT now() + interval '1 day') AS t (t) RETURNING id",
        *(
            type,
            "normal" if type == "email" else f"{type}.normal",
            MESSAGES.get(type, "Hello there"),
            OPTIONS.get(type),
        ),
    )
    return int(id)


@pytest.mark.parametrize("type", channels())
def test_the_page_of_a_notification_shows_its_text(api: Api, type: str) -> None:
    page = Person(api.port).get(f"/notifications/{stored(api, type)}")
    assert page.status == 200, page.text
    assert MESSAGES.get(type, "Hello there") in page.text


@pytest.mark.parametrize("type", channels())
@pytest.mark.parametrize("part", ["", "?view=source", "/source", "/mail", "/resend", "/cancel"])
def test_no_part_of_the_page_is_an_error(api: Api, type: str, part: str) -> None:
    assert Person(api.port).get(f"/notifications/{stored(api, type)}{part}").status in (200, 404)


@pytest.mark.parametrize("type", channels())
def test_notifications_of_every_channel_are_shown_in_list_and_answer(api: Api, type: str) -> None:
    id = stored(api, type)
    assert f"/notifications/{id}" in Person(api.port).get("/notifications").html
    assert Person(api.port).get(f"/api/notifications/{id}").status == 200


def test_an_export_has_notifications_of_every_channel(api: Api) -> None:
    ids = {stored(api, type) for type in channels()}
    lines = [json.loads(line) for line in Client(api.port).get("/api/export?attachments=true").raw.splitlines()]
    assert ids <= {line["data"]["id"] for line in lines if line["kind"] == "notification"}
    assert lines[-1]["kind"] == "end"


@pytest.mark.parametrize("type", channels())
def test_a_notification_of_every_channel_can_be_resent(api: Api, type: str) -> None:
    person = Person(api.port)
    place = f"/notifications/{stored(api, type)}/resend"
    [once] = re.findall(r'name="once" value="([^"]+)"', person.get(place).html)
    again = person.submit(place, {"once": once})
    assert again.status == 303, again.text
    assert person.get(again.headers["location"]).status == 200
