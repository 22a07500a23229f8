"""GET /api/notifications/{id}/attachments/{number}: exact bytes, for the owner only, and never displayed as a page."""

from __future__ import annotations

import re
import socket
from base64 import b64encode
from collections.abc import Iterator
from urllib.parse import unquote

import pytest

from api.resources.downloads import PIECE, disposition
from cli.servers.valkey import Valkey
from tests.client import NOTIFICATIONS
from tests.contract import CheckedClient
from tests.integration.api import Api, running
from tests.keys import EVERY, client, key

LARGE = bytes(range(256)) * 4 * 1024 + b"end"


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, auth="required") as api:
        yield api


@pytest.fixture
def asking(api: Api, request: pytest.FixtureRequest) -> CheckedClient:
    found = api.client
    found.key = str(key(api.sql, EVERY, of=client(api.sql, request.node.name[:60])))
    return found


def sent(asking: CheckedClient, *contents: bytes, kind: str = "application/pdf", name: str = "a.pdf") -> list[str]:
    """Where the files of a new notification are."""
    files = [{"filename": name, "contentType": kind, "content": b64encode(c).decode()} for c in contents]
    made = asking.notify("a@example.com", attachments=files)
    assert made.status == 201, made.raw
    assert asking.get(made.headers["location"]).json == made.json
    return [file["url"] for file in made.json["attachments"]]


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, len(LARGE)])
def test_an_attachment_is_downloaded_byte_for_byte(asking: CheckedClient, size: int) -> None:
    small, place = sent(asking, b"other", LARGE[-size:] if size else b"")
    answer = asking.get(place)

    assert answer.status == 200
    assert answer.raw == (LARGE[-size:] if size else b"")
    assert answer.headers["content-length"] == str(size)
    assert asking.get(small).raw == b"other"


def test_an_attachment_is_served_as_a_download_with_its_content_type(asking: CheckedClient) -> None:
    page = b"<script>alert(1)</script>"
    [place] = sent(asking, page, kind="text/html; charset=utf-8", name='Über "1";\u3042.html')
    answer = asking.get(place)

    assert answer.raw == page
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["cache-control"] == "no-store"
    said = answer.headers["content-disposition"]
    assert said.startswith('attachment; filename="_ber _1___.html"; ')
    assert unquote(said.partition("filename*=UTF-8''")[2]) == 'Über "1";\u3042.html'


@pytest.mark.parametrize("name", ['a"; x="b', "a\r\nX: y", "%41", "ä", "a;b", "a'b", "\u202eexe"])
def test_no_filename_breaks_the_header_content_disposition(name: str) -> None:
    said = disposition(name)

    assert re.fullmatch(r"""attachment; filename="[^"\\\r\n;]*"; filename\*=UTF-8''[A-Za-z0-9%._~-]*""", said)
    assert unquote(said.partition("UTF-8''")[2]) == name


def test_head_has_the_headers_of_get(asking: CheckedClient) -> None:
    [place] = sent(asking, b"%PDF")
    head, answer = asking.request("HEAD", place), asking.get(place)

    assert (head.status, head.raw, head.headers["content-length"]) == (200, b"", "4")
    assert head.headers["content-disposition"] == answer.headers["content-disposition"]


@pytest.mark.parametrize("number", ["0", "2", "-1", "x", "1.0", "2147483647", "2147483648", "9" * 30])
def test_an_index_without_an_attachment_is_a_404(asking: CheckedClient, number: str) -> None:
    [place] = sent(asking, b"x")

    assert asking.get(place.removesuffix("1") + number).status == 404


def test_a_notification_without_attachments_answers_404(asking: CheckedClient) -> None:
    id = asking.notify("a@example.com").json["id"]

    for place in (f"{NOTIFICATIONS}/{id}", f"{NOTIFICATIONS}/999999999", f"{NOTIFICATIONS}/x"):
        assert asking.get(f"{place}/attachments/1").status == 404


def test_an_attachment_of_another_client_is_a_404_and_needs_the_scope_read(api: Api, asking: CheckedClient) -> None:
    [place] = sent(asking, b"secret")
    stranger, sender = api.client, api.client
    stranger.key = str(key(api.sql, EVERY, of=client(api.sql, "stranger")))
    sender.key = str(key(api.sql, ["send"]))

    assert stranger.get(place).json["detail"] == stranger.get(f"{NOTIFICATIONS}/999999999/attachments/1").json["detail"]
    assert [c.get(place).status for c in (stranger, sender, asking)] == [404, 403, 200]


def test_an_attachment_that_is_no_longer_stored_is_a_410(api: Api, asking: CheckedClient) -> None:
    [place] = sent(asking, b"x")
    api.sql.rows("DELETE FROM attachments WHERE notification_id = %s RETURNING number", place.split("/")[3])

    gone = asking.get(place)
    assert gone.status == 410
    assert "no longer stored" in gone.json["detail"]
    assert asking.get(place.removesuffix("/attachments/1")).json["attachments"][0]["url"] == place


def test_a_client_that_disconnects_during_a_download_blocks_no_other(api: Api, asking: CheckedClient) -> None:
    [place] = sent(asking, LARGE * 4)
    request = f"GET {place} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {asking.key}\r\n\r\n".encode()
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", api.port), timeout=60) as leaving:
            leaving.sendall(request)
            assert leaving.recv(100).startswith(b"HTTP/1.1 200")

    assert asking.get(place).raw == LARGE * 4
