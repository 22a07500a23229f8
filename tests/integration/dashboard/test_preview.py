"""The full-width view of a mail, its inline images and attachments: of a notification, and in the inbox."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from email.message import EmailMessage

import pytest

from cli.servers.valkey import Valkey
from cli.up.mailbox import Slot
from tests.client import Client
from tests.dashboard import Person
from tests.furnishing import HOSTILE, failed
from tests.integration.api import Api, running

PICTURE = base64.b64decode("R0lGODlhAQABAAAAACH5BAEAAAAALAAAAAABAAEAAAIA")
HTML = '<h1>Hello</h1><img src="cid:picture"><script>mine()</script>'


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    box = tmp_path_factory.mktemp("mail")
    Slot(box, 10).put("a@example.com", ["b@example.com"], mail().as_bytes())
    Slot(box, 10).put("a@example.com", ["b@example.com"], b"Subject: bare\r\n\r\nText alone")
    with running(module_database_url, redis_server.url, caught_mail=box) as started:
        yield started


def mail() -> EmailMessage:
    made = EmailMessage()
    made["Subject"] = "With files"
    made.set_content("Text")
    made.add_alternative(HTML, subtype="html")
    [_, html] = made.iter_parts()
    html.add_related(PICTURE, "image", "gif", cid="<picture>")
    made.add_attachment(b"<script>mine()</script>", maintype="text", subtype="html", filename="page.html")
    made.add_attachment(b"<svg onload='mine()'/>", maintype="image", subtype="svg+xml", filename=f"a{HOSTILE[:20]}.svg")
    return made


@pytest.fixture
def person(api: Api) -> Person:
    return Person(api.port)


def test_a_mail_is_shown_in_full_at_desktop_and_phone_width(api: Api, person: Person) -> None:
    id = failed(api.sql)
    for path, frame in ((f"/notifications/{id}", f"/notifications/{id}/mail"), ("/inbox/1", "/inbox/1/html")):
        assert f'href="{path}?width=desktop"' in person.get(path).html
        for width in ("desktop", "phone"):
            page = person.get(f"{path}?width={width}")
            [tag] = re.findall(r"<iframe[^>]*>", page.html)
            assert f"is-{width}" in tag
            assert f'src="{frame}"' in tag
            assert "sandbox" in tag
            assert "Timeline" not in page.text
            assert "Headers" not in page.text
        assert "is-x" not in person.get(f"{path}?width=x").html


def test_a_mail_without_html_has_no_full_width_view(api: Api, person: Person) -> None:
    assert "Timeline" in person.get(f"/notifications/{failed(api.sql, html=None)}?width=desktop").text
    assert "Text alone" in person.get("/inbox/2?width=desktop").text


def test_a_caught_mail_shows_inline_images_in_a_sandboxed_frame(person: Person) -> None:
    frame = person.get("/inbox/1/html")
    url = f"data:image/gif;base64,{base64.b64encode(PICTURE).decode()}"
    assert f'<img src="{url}">' in frame.html
    policy = frame.headers["content-security-policy"]
    assert policy.endswith("; sandbox")
    assert "script" not in policy


def test_attachments_of_a_caught_mail_are_listed_and_only_downloaded(api: Api, person: Person) -> None:
    page = person.get("/inbox/1")
    assert "page.html" in page.text
    assert page.html.count('<img class="thumb"') == 1
    for number, kind in ((1, "image/gif"), (2, "application/octet-stream"), (3, "application/octet-stream")):
        headers = Client(api.port).get(f"/inbox/1/attachments/{number}").headers
        assert headers["content-type"] == kind
        assert headers["content-disposition"].startswith("attachment; ")
        assert headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/inbox/1/attachments/4", "/inbox/1/attachments/0", "/inbox/1/attachments/x",
                                  "/inbox/9/attachments/1"])  # fmt: skip
def test_an_unknown_attachment_is_a_404(person: Person, path: str) -> None:
    assert person.get(path).status == 404


def test_images_among_the_attachments_of_a_notification_are_shown(api: Api, person: Person) -> None:
    id = failed(api.sql)
    html = person.get(f"/notifications/{id}").html
    assert re.findall(r'<img class="thumb" src="([^"]+)"', html) == [f"/notifications/{id}/attachments/2"]
