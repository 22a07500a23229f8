"""The API behind the distribution's nginx: its defaults, a path prefix, streams, large bodies, reloads."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import embedded
from tests.client import NOTIFICATIONS, Client
from tests.dashboard import Person
from tests.eventually import eventually
from tests.load import Load
from tests.processes import ROOT, Group
from tests.servers.stock_nginx import StockNginx
from tests.sse import Reader
from tests.system import System

pytestmark = pytest.mark.long

NOWHERE = "smtp://127.0.0.1:9"
DEFAULT = "location / { proxy_pass http://127.0.0.1:%d; }"
STRIPPED = "location /notify/ { proxy_pass http://127.0.0.1:%d/; }"
KEPT = "location /notify { proxy_pass http://127.0.0.1:%d; }"

Front = Callable[..., StockNginx]


@pytest.fixture
def front() -> Iterator[Front]:
    """Starts an nginx with a server block, in which %d stands for the API's port."""
    with ExitStack() as stack:

        def start(api: System, server: str, outside: str = "") -> StockNginx:
            directory = stack.enter_context(embedded.short_directory())
            nginx = StockNginx(directory, server.replace("%d", str(api.port)), outside.replace("%d", str(api.port)))
            nginx.start()
            stack.callback(nginx.stop)
            return nginx

        yield start


@pytest.fixture
def new_api(tmp_path: Path, stock_database_url: str, stock_redis_url: str) -> Iterator[Callable[..., System]]:
    """Starts the API with settings of a test."""
    with ExitStack() as stack:

        def start(**settings: object) -> System:
            system = System(
                tmp_path, database_url=stock_database_url, redis_url=stock_redis_url, smtp_url=NOWHERE, **settings
            )
            stack.callback(system.stop)
            system.start_api(processes=2)
            return system

        yield start


def test_requests_pages_and_streams_work_with_the_defaults_of_nginx(
    new_api: Callable[..., System], front: Front
) -> None:
    nginx = front(new_api(), DEFAULT)
    client = Client(nginx.port)
    first = client.notify("a@example.com")
    assert first.status == 201
    assert client.get(first.headers["location"]).json["id"] == first.json["id"]
    assert client.get("/").status == 200
    # An event arrives while the stream goes on: nothing holds it back.
    with Reader(nginx.port, "/api/stream") as stream:
        assert stream.next().type == "ready"
        posted = client.notify("b@example.com")
        assert stream.changes(1) == [(posted.json["id"], "accepted")]


def test_a_large_body_needs_the_documented_limit_of_nginx(new_api: Callable[..., System], front: Front) -> None:
    api = new_api()
    large = {"type": "email", "recipient": "a@example.com", "message": "x"}
    content = "QUFB" * (1 << 20)  # 3 MiB
    large["attachments"] = [{"filename": "a.bin", "contentType": "application/octet-stream", "content": content}]  # type: ignore[assignment]
    assert Client(front(api, DEFAULT).port).post(NOTIFICATIONS, large).status == 413
    with_limit = front(api, f"client_max_body_size 26m; {DEFAULT}")
    assert Client(with_limit.port).post(NOTIFICATIONS, large).status == 201


@pytest.mark.parametrize("location", [STRIPPED, KEPT], ids=["stripped", "kept"])
def test_below_a_path_prefix_links_forms_and_the_command_line_work(
    location: str, new_api: Callable[..., System], front: Front
) -> None:
    api = new_api(public_url="http://localhost/notify", unsubscribe_secret="s" * 32)
    nginx = front(api, location)
    client = Client(nginx.port)
    posted = client.notify("a@example.com")
    assert posted.status == 404, "only the prefix is forwarded"
    document = {"type": "email", "recipient": "a@example.com", "message": "Hello"}
    posted = client.post(f"/notify{NOTIFICATIONS}", document)
    assert posted.status == 201
    assert client.get(posted.headers["location"]).status == 200
    assert client.get("/notify/openapi.json").json["servers"][0]["url"] == "/notify"
    person = Person(nginx.port)
    # Each path once: queries have no end, because some hold the present time.
    seen, waiting = set[str](), {"/notify/": "/notify/"}
    while waiting:
        path, page = waiting.popitem()
        seen.add(path)
        answer = person.get(page)
        assert answer.status == 200, page
        if "text/html" in answer.headers["content-type"]:
            links = (link.replace("&amp;", "&") for link in re.findall(r'(?:href|src)="([^"#]*)"', answer.html))
            waiting |= {path: link for link in links if (path := link.partition("?")[0]) not in seen}
    assert len(seen) > 10
    sent = person.submit(
        "/notify/suppressions", {"address": "b@example.com", "reason": "manual"}, to="/notify/suppressions"
    )
    assert (sent.status, sent.headers["location"].partition("?")[0]) == (303, "/notify/suppressions"), sent.text
    old_browser = person.post(
        "/notify/logout", {"form_token": person.get("/notify/suppressions").token}, Origin="http://localhost"
    )
    assert old_browser.status != 403
    environ = {"NOTIFY_URL": f"http://127.0.0.1:{nginx.port}/notify", "PATH": "/usr/bin:/bin"}
    notify = [sys.executable, "-m", "cli.main", "list", "--json"]
    listed = subprocess.run(notify, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert listed.returncode == 0, listed.stderr
    assert str(posted.json["id"]) in listed.stdout


def test_cookies_are_secure_if_nginx_reports_https(new_api: Callable[..., System], front: Front) -> None:
    api = new_api()
    forwarded = "proxy_set_header X-Forwarded-Proto https;"
    https = front(api, DEFAULT.replace("}", f"{forwarded} }}"))
    assert "secure" in Client(https.port).get("/").headers["set-cookie"].lower()
    assert "secure" not in Client(front(api, DEFAULT).port).get("/").headers["set-cookie"].lower()


def test_a_reload_of_the_api_under_load_causes_no_502(new_api: Callable[..., System], front: Front) -> None:
    api = new_api()
    nginx = front(api, DEFAULT)
    load = Load(nginx.port, (f"r{n}@example.com" for n in range(100_000)), connections=8).start()
    assert api.api is not None
    for _ in range(2):
        before = workers(api.api)
        enough = len(load.accepted) + 100
        eventually(lambda: len(load.accepted) > enough, saying=lambda: load.refused[-3:])  # noqa: B023
        api.api.signal(signal.SIGHUP)
        eventually(lambda: not before & workers(api.api), within=40, saying=api.logs)  # type: ignore[arg-type]  # noqa: B023
    load.stop()
    assert load.refused == []
    assert "prematurely" not in nginx.errors


def workers(group: Group) -> set[int]:
    """Pids of all but the master."""
    return set(group.members) - {group.pid}
