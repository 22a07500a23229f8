"""/api/templates and sending with a template, over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from api.resources.templates import SCHEMA_LIMIT, VERSIONS_LIMIT
from cli.servers.valkey import Valkey
from tests.client import NOTIFICATIONS, Response
from tests.contract import CheckedClient, faults
from tests.eventually import eventually
from tests.integration.api import Api, running

TEMPLATES = "/api/templates"
MANY_VERSIONS = """INSERT INTO templates (client_id, name, version, subject, text)
SELECT 1, 'many', number, 'Hi', 'Hello' FROM generate_series(2, %s) number"""
GREETING = {"subject": "Hi {{ name }}", "text": "Hello {{ name }}", "html": "<p>Hello {{ name }}</p>"}
SCHEMA = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "maxLength": 50}}}
MAIL = {"type": "email", "recipient": "test@example.com"}
ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    limits = {"subject_limit": 40, "message_limit": 200, "html_limit": 300}
    limits |= {"render_timeout": 60}
    with running(module_database_url, redis_server.url, render_cpu=0.3, **limits) as api:
        yield api


@pytest.fixture
def client(api: Api) -> CheckedClient:
    return api.client


def put(client: CheckedClient, name: str, document: object) -> Response:
    body = json.dumps(document).encode()
    return client.request("PUT", f"{TEMPLATES}/{name}", body, {"Content-Type": "application/json"})


def send(client: CheckedClient, template: object, **variables: object) -> Response:
    return client.post(NOTIFICATIONS, {**MAIL, "template": template, "variables": variables})


def delete(client: CheckedClient, name: str) -> Response:
    return client.request("DELETE", f"{TEMPLATES}/{name}")


def test_a_template_is_shown_as_it_was_stored(client: CheckedClient) -> None:
    made = put(client, "shown", {**GREETING, "schema": SCHEMA})

    assert made.status == 201
    assert made.headers["location"] == f"{TEMPLATES}/shown/versions/1"
    assert made.json == {
        **GREETING,
        "name": "shown",
        "version": 1,
        "schema": SCHEMA,
        "createdAt": made.json["createdAt"],
    }
    for path in ("", "/versions/1"):
        assert client.get(f"{TEMPLATES}/shown{path}").json == made.json
    assert client.get(f"{TEMPLATES}/shown/versions").json == {"items": [made.json], "nextCursor": None}


@pytest.mark.parametrize("number", ["1e30", "123456789012345678901234567890", "-0.0", "1e-300"])
def test_numbers_in_a_schema_are_returned_unchanged(client: CheckedClient, number: str) -> None:
    document = json.dumps({**GREETING, "schema": {"const": "X"}}).replace('"X"', number)
    path = f"{TEMPLATES}/number{number}"
    made = client.request("PUT", path, document.encode(), {"Content-Type": "application/json"})

    assert (made.status, made.json["schema"]) == (201, {"const": float(number)})
    assert client.get(path).json == made.json


def test_a_schema_may_contain_values_that_no_variable_can_have(client: CheckedClient) -> None:
    schema = {"properties": {"name": {"pattern": "^[^\0]*$"}}}
    made = put(client, "nul", {**GREETING, "schema": schema})

    assert (made.status, made.json["schema"]) == (201, schema)
    assert client.get(f"{TEMPLATES}/nul").json == made.json


def test_template_gets_a_new_version_only_if_its_content_changes(client: CheckedClient) -> None:
    assert [put(client, "again", GREETING).status for _ in range(2)] == [201, 200]
    changed = put(client, "again", {**GREETING, "html": None})

    assert (changed.status, changed.json["version"], changed.json["html"]) == (201, 2, None)
    assert client.get(f"{TEMPLATES}/again/versions/1").json["html"] == GREETING["html"]


def test_templates_are_listed_by_name_a_page_at_a_time(client: CheckedClient) -> None:
    for name in ("list.b", "list.a", "list.c"):
        put(client, name, GREETING)

    names: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.get(TEMPLATES, limit=1, **cursor).json
        names += [item["name"] for item in page["items"]]
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert [name for name in names if name.startswith("list.")] == ["list.a", "list.b", "list.c"]
    assert names == sorted(names)


def test_versions_are_listed_newest_first_a_page_at_a_time(client: CheckedClient) -> None:
    for text in "abc":
        put(client, "pages", {**GREETING, "text": text})

    first = client.get(f"{TEMPLATES}/pages/versions", limit=2).json
    second = client.get(f"{TEMPLATES}/pages/versions", limit=2, cursor=first["nextCursor"]).json
    assert [item["version"] for item in first["items"] + second["items"]] == [3, 2, 1]
    assert second["nextCursor"] is None


@pytest.mark.parametrize("path", ["", "/none/versions", "/welcome/versions"])
def test_a_made_up_cursor_is_refused(client: CheckedClient, path: str) -> None:
    put(client, "welcome", GREETING)
    for cursor in ("!", "AA", "4pyT", "LTE", "YSBi"):
        answer = client.get(f"{TEMPLATES}{path}", cursor=cursor)
        assert answer.status == 400
        assert faults(answer) == {"cursor": "is not a cursor that this API gave out"}


def test_a_notification_is_stored_with_the_rendered_text(client: CheckedClient) -> None:
    put(client, "sent", GREETING)

    accepted = send(client, "sent", name="<Ann>")

    assert accepted.status == 201
    assert accepted.json["subject"] == "Hi <Ann>"
    assert accepted.json["message"] == "Hello <Ann>"
    assert accepted.json["html"] == "<p>Hello &lt;Ann&gt;</p>"
    assert accepted.json["template"] == {"name": "sent", "version": 1}
    assert delete(client, "sent").status == 204
    assert client.get(accepted.headers["location"]).json == accepted.json


def test_a_version_can_be_pinned(client: CheckedClient) -> None:
    put(client, "pinned", {**GREETING, "text": "first"})
    put(client, "pinned", {**GREETING, "text": "second"})

    assert send(client, {"name": "pinned", "version": 1}, name="Ann").json["message"] == "first"
    assert send(client, {"name": "pinned"}, name="Ann").json["message"] == "second"
    assert send(client, "pinned", name="Ann").json["template"]["version"] == 2


def test_another_process_uses_the_newest_version_within_a_second(api: Api) -> None:
    # What this one knows of a template it has asked for less than a second ago.
    put(api.client, "fresh", {**GREETING, "text": "first"})
    with running(api.environ["DATABASE_URL"], api.environ["REDIS_URL"]) as other:
        assert send(other.client, "fresh", name="Ann").json["message"] == "first"
        put(api.client, "fresh", {**GREETING, "text": "second"})
        assert send(api.client, "fresh", name="Ann").json["message"] == "second"
        eventually(lambda: send(other.client, "fresh", name="Ann").json["message"] == "second", within=5)
        delete(api.client, "fresh")
        assert send(api.client, "fresh", name="Ann").status == 422
        eventually(lambda: send(other.client, "fresh", name="Ann").status == 422, within=5)


def test_a_template_that_is_created_again_does_not_render_the_old_text(client: CheckedClient) -> None:
    put(client, "anew", {**GREETING, "text": "old"})
    send(client, {"name": "anew", "version": 1}, name="Ann")
    delete(client, "anew")
    assert put(client, "anew", {**GREETING, "text": "new"}).json["version"] == 2

    assert send(client, {"name": "anew", "version": 1}, name="Ann").status == 422
    assert send(client, "anew", name="Ann").json["message"] == "new"


LEFT_OUT = "must be left out: give either template and variables, or subject, message and html"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"template": "one", "message": "Hello"}, {"/message": LEFT_OUT}),
        ({"template": "one", "subject": "a", "html": "b"}, {"/subject": LEFT_OUT, "/html": LEFT_OUT}),
        ({"message": "Hello", "variables": {}}, {"/variables": LEFT_OUT}),
        ({"variables": {}}, {"/message": "is required", "/variables": LEFT_OUT}),
        ({"template": 5}, {"/template": "must be a string or an object"}),
        ({"template": {"version": 1}}, {"/template/name": "is required"}),
        ({"template": {"name": "one", "version": 0}}, {"/template/version": "must be at least 1"}),
        ({"template": "one", "variables": []}, {"/variables": "must be an object"}),
        ({"template": "none"}, {"/template": "there is no template with this name, or it has no such version"}),
        (
            {"template": {"name": "one", "version": 2**31 - 1}},
            {"/template": "there is no template with this name, or it has no such version"},
        ),
        ({"template": "one"}, {"/variables/name": "is required: the template's subject uses it"}),
        (
            {"template": "one", "variables": {"name": 1, "b/~": 2}},
            {"/variables/b~1~0": "is not a variable of this template: leave it out"},
        ),
        (
            {"template": "one", "variables": {"name": "a\r\nBcc: b@example.com"}},
            {"/template": "its rendered subject must be one line without control characters"},
        ),
        (
            {"template": "one", "variables": {"name": "x" * 38}},
            {"/template": "its rendered subject has more than 40 characters"},
        ),
        (
            {"template": "one", "variables": {"name": "x" * 200}},
            {"/template": "its rendered subject has more than 40 characters"},
        ),
        (
            {"template": "one", "variables": {"name": "\0"}},
            {"/template": "its rendered html must not contain the character U+0000"},
        ),
    ],
)
def test_a_request_that_cannot_be_rendered_is_refused_with_pointers(
    client: CheckedClient, given: dict[str, Any], expected: dict[str, str]
) -> None:
    put(client, "one", GREETING)

    refused = client.post(NOTIFICATIONS, {**MAIL, **given})

    assert refused.status == 422
    assert faults(refused) == expected


def test_variables_are_validated_against_the_schema(client: CheckedClient) -> None:
    put(client, "strict", {**GREETING, "schema": SCHEMA})

    assert faults(send(client, "strict")) == {"/variables/name": "is required"}
    assert faults(send(client, "strict", name=5)) == {"/variables/name": "must be of type string"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"subject": "Hi"}, {"/text": "is required"}),
        ({**GREETING, "message": "x"}, {"/message": "is not a known field; known are subject, text, html, schema"}),
        ({**GREETING, "text": "x" * 100_001}, {"/text": "must have at most 100000 characters, has 100001"}),
        ({**GREETING, "text": "a\0"}, {"/text": "must not contain the character U+0000"}),
        (
            {**GREETING, "schema": {"description": "x" * SCHEMA_LIMIT}},
            {"/schema": f"must have at most {SCHEMA_LIMIT} bytes"},
        ),
        ({**GREETING, "schema": True}, {"/schema": "must be an object or null"}),
        ({**GREETING, "schema": {"type": "text"}}, {"/schema/type": "does not conform to anyOf"}),
        ({**GREETING, "schema": {"$ref": "http://169.254.169.254/"}}, {"/schema/$ref": None}),
        ({**GREETING, "html": "<p>\n\n{{ name }"}, {"/html": "line 3: unexpected '}'"}),
    ],
)
def test_invalid_template_is_refused_with_pointers(
    client: CheckedClient, given: dict[str, Any], expected: dict[str, str | None]
) -> None:
    refused = put(client, "wrong", given)

    assert refused.status == 422
    found = faults(refused)
    assert found.keys() == expected.keys()
    assert all(detail is None or found[pointer] == detail for pointer, detail in expected.items())
    assert client.get(f"{TEMPLATES}/wrong").status == 404


@pytest.mark.parametrize("name", ["-a", "a b", "%00", "%ff", "x" * 101, "ä", ".."])
def test_invalid_template_name_is_refused(client: CheckedClient, name: str) -> None:
    path = name.replace(" ", "%20").replace("ä", "%C3%A4")

    assert put(client, path, GREETING).status == 422
    for answer in (client.get(f"{TEMPLATES}/{path}"), delete(client, path)):
        assert answer.status == 404
    assert faults(send(client, name)).keys() == {"/template"}


def test_a_preview_shows_the_rendered_text_and_stores_nothing(client: CheckedClient) -> None:
    put(client, "seen", GREETING)
    put(client, "seen", {**GREETING, "html": None})
    before = client.get(NOTIFICATIONS, limit=1).json

    newest = client.post(f"{TEMPLATES}/seen/preview", {"variables": {"name": "Ann"}})
    first = client.post(f"{TEMPLATES}/seen/preview", {"variables": {"name": "<"}, "version": 1})

    assert newest.json == {
        **{"template": {"name": "seen", "version": 2}, "subject": "Hi Ann", "message": "Hello Ann", "html": None}
    }
    assert first.json["html"] == "<p>Hello &lt;</p>"
    assert client.get(NOTIFICATIONS, limit=1).json == before


def test_a_preview_has_the_faults_of_a_notification(client: CheckedClient) -> None:
    put(client, "tried", GREETING)
    path = f"{TEMPLATES}/tried/preview"

    assert faults(client.post(path, {})) == {"/variables/name": "is required: the template's subject uses it"}
    assert faults(client.post(path, {"variables": {"name": "a\nb"}})).keys() == {""}
    assert faults(client.post(path, {"version": 0, "x": 1})).keys() == {"/version", "/x"}
    assert client.post(path, {"version": 9, "variables": {"name": "Ann"}}).status == 404
    assert client.post(f"{TEMPLATES}/none/preview", {}).status == 404


@pytest.mark.parametrize("version", ["0", "01x", "-1", "2147483648", "9" * 30, "x"])
def test_invalid_version_is_not_found(client: CheckedClient, version: str) -> None:
    put(client, "numbered", GREETING)
    assert client.get(f"{TEMPLATES}/numbered/versions/{version}").status == 404


def test_hostile_templates_are_ended_while_others_are_rendered(api: Api, client: CheckedClient) -> None:
    assert put(client, "endless", {"subject": "s", "text": ENDLESS}).status == 201
    answers: list[Response] = []
    threads = [threading.Thread(target=lambda: answers.append(send(api.client, "endless"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    served = 0
    while any(thread.is_alive() for thread in threads):
        assert client.get("/healthz").status == 200
        served += 1
    for thread in threads:
        thread.join()

    assert served > 4
    assert [(a.status, faults(a)) for a in answers] == [
        (422, {"/template": "takes more than 0.3 seconds of CPU time"})
    ] * 4
    put(client, "well", GREETING)
    assert send(client, "well", name="Ann").status == 201


def test_a_version_beyond_the_limit_of_a_client_is_a_409(database_url: str, redis_server: Valkey) -> None:
    with running(database_url, redis_server.url) as api:
        assert put(api.client, "a", GREETING).status == 201
        api.sql.rows(MANY_VERSIONS, VERSIONS_LIMIT)
        assert [put(api.client, name, GREETING).status for name in ("a", "b")] == [200, 409]


@pytest.mark.parametrize("part", ["subject", "text", "html"])
def test_half_a_surrogate_pair_is_reported_as_a_fault_of_the_template(client: CheckedClient, part: str) -> None:
    put(client, f"half-{part}", {**GREETING, part: "{{ name }}{{ '\\ud800' }}"})

    for _ in range(2):
        refused = send(client, f"half-{part}", name="Ann")
        assert refused.status == 422
        assert "half of a surrogate pair" in faults(refused)["/template"]
    shown = client.post(f"{TEMPLATES}/half-{part}/preview", {"variables": {"name": "Ann"}})
    assert shown.status == 422
