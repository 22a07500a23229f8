"""Targets of requests in every form (RFC 9112, 3.2), and paths with the prefix of a proxy."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from cli.servers.valkey import Valkey
from tests.client import NOTIFICATIONS
from tests.integration.api import Api, running
from tests.raw_http import exchange

MAIL = b'{"type":"email","recipient":"a@example.com","message":"Hello"}'
SECRET = "s" * 32


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url) as api:
        yield api


def ask(api: Api, line: str, body: bytes = b"", host: str = "proxy.example", version: str = "1.1") -> tuple[int, str]:
    """The status and the content of the answer to a request with this method and target."""
    head = f"{line} HTTP/{version}\r\nHost: {host}\r\nContent-Type: application/json\r\nConnection: close\r\n"
    if body:
        head += f"Content-Length: {len(body)}\r\n"
    answer = exchange(api.port, head.encode() + b"\r\n" + body)
    assert answer is not None
    return answer.status, answer.raw.decode()


@pytest.mark.parametrize(
    "target",
    [
        "http://proxy.example/healthz",
        "http://another.example:8000/healthz",
        "HTTP://ANOTHER.example/healthz?a=http://b/c",
        "https://another.example/healthz",
        "http://127.0.0.1/healthz",
        "http://[::1]:8000/healthz",
        "http://another.example:/%68ealthz",
    ],
)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_an_absolute_request_target_is_answered_like_its_path(api: Api, target: str, version: str) -> None:
    assert ask(api, f"GET {target}", version=version) == (200, '{"status":"ok"}\n')


def test_a_notification_may_be_posted_to_an_absolute_target(api: Api) -> None:
    status, raw = ask(api, f"POST http://another.example{NOTIFICATIONS}", MAIL)
    assert status == 201
    number = re.search(r'"id":(\d+)', raw)
    assert number
    assert ask(api, f"GET http://x{NOTIFICATIONS}/{number[1]}")[0] == 200
    assert ask(api, f"GET http://x{NOTIFICATIONS}?limit=0")[0] == 400


@pytest.mark.parametrize("target", ["http://another.example", "http://another.example/", "http://another.example?a=b"])
def test_an_absolute_target_without_a_path_is_the_root(api: Api, target: str) -> None:
    status, raw = ask(api, f"GET {target}", host="localhost")
    # Pages are shown at known hosts only, and the host of an absolute target stands above the Host field.
    assert (status, "PUBLIC_URL" in raw) == (421, True)
    assert ask(api, "GET http://localhost", host="another.example")[0] == 200


@pytest.mark.parametrize(
    "target",
    [
        "http:///healthz",
        "http://user@another.example/healthz",
        "http://user:secret@another.example/healthz",
        "http://another.example:port/healthz",
        "http://[::1/healthz",
        "http://a%/healthz",
        "ftp://another.example/healthz",
        "http://a\\b/healthz",
        "://healthz",
        "healthz://",
    ],
)
def test_an_absolute_target_without_an_http_host_is_refused(api: Api, target: str) -> None:
    status, raw = ask(api, f"GET {target}")
    assert status == 400
    assert "secret" not in raw


@pytest.mark.parametrize(
    "target",
    [
        "//login",
        "//notifications",
        "/%2fnotifications",
        "//healthz",
        f"/{NOTIFICATIONS}",
        "http://a//login",
        "///login",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_path_with_two_leading_slashes_is_a_404(api: Api, method: str, target: str) -> None:
    # Not past the check of the host, nor past what forbids caches to store the answer.
    status, raw = ask(api, f"{method} {target}", MAIL if method == "POST" else b"")
    assert (status, "two slashes" in raw) == (404, True)


@pytest.mark.parametrize(
    "target", [f"{NOTIFICATIONS}/", f"{NOTIFICATIONS}/1/", "/healthz/?a=/", "/api/templates/", "http://a/healthz//"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_path_that_must_not_end_with_a_slash_is_an_error_that_says_so(api: Api, method: str, target: str) -> None:
    status, raw = ask(api, f"{method} {target}", MAIL if method == "POST" else b"")
    assert status in (404, 405)
    assert "The path ends with a slash: remove it." in raw


def test_an_encoded_slash_at_the_end_belongs_to_the_last_segment(api: Api) -> None:
    status, raw = ask(api, f"GET {NOTIFICATIONS}/a%2f")
    assert (status, "ends with a slash" in raw) == (404, False)


@pytest.mark.parametrize("target", ["another.example:443", "another.example", "http://another.example/", "/healthz"])
def test_connect_is_refused_and_opens_no_tunnel(api: Api, target: str) -> None:
    assert ask(api, f"CONNECT {target}")[0] in {400, 405, 501}


def test_options_for_the_whole_server_lists_the_methods(api: Api) -> None:
    answer = exchange(api.port, b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert answer is not None
    assert (answer.status, answer.raw) == (204, b"")
    assert "POST" in answer.headers["allow"]
    assert ask(api, "GET *")[0] == 400


@pytest.fixture(scope="module")
def prefixed(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(
        module_database_url, redis_server.url, public_url="http://localhost/notify/", unsubscribe_secret=SECRET
    ) as api:
        yield api


@pytest.mark.parametrize("sent", ["", "/notify"])
def test_with_a_path_prefix_requests_work_with_and_without_it(prefixed: Api, sent: str) -> None:
    assert ask(prefixed, f"GET {sent}/healthz")[0] == 200
    assert ask(prefixed, f"GET http://a{sent}/healthz")[0] == 200
    assert ask(prefixed, f"POST {sent}{NOTIFICATIONS}", MAIL)[0] == 201
    assert "ends with a slash" not in ask(prefixed, f"GET {sent}/")[1]
    assert ask(prefixed, f"GET {sent}/nothing")[0] == 404


@pytest.mark.parametrize("target", ["/notifyhealthz", "/notify/notify/healthz", "/Notify/healthz"])
def test_path_that_only_resembles_the_prefix_is_not_found(prefixed: Api, target: str) -> None:
    assert ask(prefixed, f"GET {target}")[0] == 404


def test_with_a_path_prefix_all_links_of_the_api_have_it(prefixed: Api) -> None:
    with prefixed.client as client:
        file = {"filename": "a.txt", "contentType": "text/plain", "content": "YQ=="}
        posted = client.notify("a@example.com", attachments=[file])
        assert posted.headers["location"] == f"/notify{NOTIFICATIONS}/{posted.json['id']}"
        [attachment] = posted.json["attachments"]
        assert ask(prefixed, f"GET {attachment['url']}") == (200, "a")
        assert client.get("/openapi.json").json["servers"][0]["url"] == "/notify"


@pytest.mark.parametrize("sent", ["", "/notify"])
def test_with_a_path_prefix_all_links_of_pages_have_it(prefixed: Api, sent: str) -> None:
    pages = ["", "/", "/notifications", "/failures", "/templates", "/suppressions", "/keys", "/clients", "/login"]
    links = set()
    for page in pages[not sent :]:
        answer = exchange(
            prefixed.port, f"GET {sent}{page} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        assert answer is not None
        found = re.findall(r'(?:href|src|action)="([^"]*)"', answer.raw.decode())
        assert found or answer.headers.get("location", "").startswith("/notify/"), page
        links |= set(found)
    assert {link for link in links if not link.startswith(("/notify/", "#"))} == set()
    assert {ask(prefixed, f"GET {link}", host="localhost")[0] for link in links if "/static/" in link} == {200}


def test_a_path_prefix_that_resembles_an_own_path_must_be_stripped_by_the_proxy(
    module_database_url: str, redis_server: Valkey
) -> None:
    with running(
        module_database_url, redis_server.url, public_url="http://localhost/api", unsubscribe_secret=SECRET
    ) as api:
        posted = api.client.notify("a@example.com")
        assert posted.status == 201
        assert posted.headers["location"].startswith(f"/api{NOTIFICATIONS}/")
