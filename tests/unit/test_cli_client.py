"""The commands that talk to the API, against a server with scripted answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import notify
from cli.up import data

SENT = {"id": 5, "type": "email", "recipient": "a@example.com", "status": "sent", "retryCount": 0}


@dataclass
class Api:
    """Answers every request with the next of `answers`, the last one again and again."""

    url: str = ""
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    sends_on: bool = False
    retry_after: str = ""

    def will_say(self, *documents: object, status: int = 200) -> None:
        """Answer with these documents."""
        self.answers = [(status, json.dumps(document).encode()) for document in documents]

    def run(self, *words: str, key: str = "", typed: str | None = None) -> Result:
        """A command of `notify` on this server; `typed` is its standard input."""
        environ = {"NOTIFY_URL": self.url, "NOTIFY_KEY": key}
        return CliRunner().invoke(notify, list(words), typed, environ)


@pytest.fixture
def api() -> Iterator[Api]:
    told = Api()

    class Told(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            told.asked.append((self.command, self.path, body))
            told.headers.append(dict(self.headers))
            told.keys.append(self.headers.get("Authorization"))
            if told.sends_on and self.path != "/elsewhere":
                self.send_response(302)
                self.send_header("Location", f"{told.url}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            status, answer = told.answers.pop(0) if len(told.answers) > 1 else told.answers[0]
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            if told.retry_after:
                self.send_header("Retry-After", told.retry_after)
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Told) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        told.url = f"http://127.0.0.1:{server.server_port}"
        yield told
        server.shutdown()


def test_send_posts_its_options_and_prints_the_id(api: Api, tmp_path: Path) -> None:
    api.will_say({**SENT, "status": "pending"}, status=201)
    html = tmp_path / "mail.html"
    html.write_text("<p>Grüße</p>", encoding="utf-8")

    result = api.run("send", "--to", "a@example.com", "--message", "Hello", "--html", str(html))

    assert (result.exit_code, result.stdout) == (0, "Notification 5: pending\n")
    [(method, path, body)] = api.asked
    assert (method, path) == ("POST", "/api/notifications")
    assert json.loads(body) == {
        "type": "email",
        "recipient": "a@example.com",
        "message": "Hello",
        "html": "<p>Grüße</p>",
    }


def test_send_posts_every_field_of_a_mail(api: Api, tmp_path: Path) -> None:
    api.will_say({**SENT, "status": "pending"}, status=201)
    report, archive = tmp_path / "report ä.pdf", tmp_path / "data.tar.gz"
    report.write_bytes(b"%PDF")
    archive.write_bytes(b"\0\xff")

    result = api.run(
        *("send", "--to", "a@example.com", "--message", "Hello", "--from", "Shop <s@example.com>"),
        *(
            "--reply-to",
            "r@example.com",
            "--cc",
            "B <b@example.com>",
            "--cc",
            "c@example.com",
            "--bcc",
            "d@example.com",
        ),
        *("--header", "X-A: 1: 2", "--header", "X-B:b", "--attach", str(report), "--attach", str(archive)),
    )

    assert result.exit_code == 0, result.stderr
    assert json.loads(api.asked[0][2]) == {
        "type": "email",
        "recipient": "a@example.com",
        "message": "Hello",
        "from": "Shop <s@example.com>",
        "replyTo": "r@example.com",
        "cc": ["B <b@example.com>", "c@example.com"],
        "bcc": ["d@example.com"],
        "headers": {"X-A": "1: 2", "X-B": "b"},
        "attachments": [
            {"filename": "report ä.pdf", "contentType": "application/pdf", "content": "JVBERg=="},
            {"filename": "data.tar.gz", "contentType": "application/octet-stream", "content": "AP8="},
        ],
    }


@pytest.mark.parametrize("words", [("--header", "no colon"), ("--attach", "/no/such/file")])
def test_an_option_of_mail_that_cannot_be_read_is_a_usage_error(api: Api, words: tuple[str, str]) -> None:
    assert api.run("send", "--to", "a@example.com", "--message", "Hello", *words).exit_code == 2
    assert api.asked == []


def test_status_shows_copies_and_files_and_nothing_that_a_terminal_obeys(api: Api) -> None:
    files = [{"filename": "a\x1b.pdf", "size": 1}, {"filename": "b.txt", "size": 2}]
    api.will_say({**SENT, "cc": ["B <b@x.example>", "c@x.example"], "bcc": [], "attachments": files}, {"items": []})

    shown = api.run("status", "5").stdout

    assert "Cc           B <b@x.example>, c@x.example\n" in shown
    assert "Attachments  a\\u001b.pdf, b.txt\n" in shown
    assert "Bcc" not in shown


def test_send_waits_for_the_outcome(api: Api) -> None:
    api.will_say({**SENT, "status": "pending"}, {**SENT, "status": "processing"}, SENT)

    result = api.run("send", "--to", "a@example.com", "--message", "Hello", "--wait", "10", "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout) == SENT


def test_the_api_of_the_notify_up_on_data_dir_is_found(api: Api, tmp_path: Path) -> None:
    api.will_say({"items": [], "nextCursor": None})
    root = data.DataRoot(tmp_path)
    environ = {"DATA_DIR": str(tmp_path), "NOTIFY_URL": ""}

    with data.runtime(root) as place:
        (place / data.URL).write_text(f"{api.url}\n")
        found = CliRunner().invoke(notify, ["list"], env=environ)
        elsewhere = CliRunner().invoke(notify, ["list"], env={**environ, "NOTIFY_URL": "http://127.0.0.1:1"})

    assert (found.exit_code, len(api.asked)) == (0, 1)
    assert "http://127.0.0.1:1 " in elsewhere.stderr
    assert data.url_of_another(root) is None


def test_list_requests_the_given_filters_and_prints_how_to_continue(api: Api) -> None:
    api.will_say({"items": [SENT], "nextCursor": "abc"})

    result = api.run("list", "--status", "sent", "--recipient", "a+b@example.com", "--priority", "bulk", "--limit", "1")

    assert api.asked[0][1] == "/api/notifications?status=sent&recipient=a%2Bb%40example.com&priority=bulk&limit=1"
    assert "a@example.com" in result.stdout
    assert result.stdout.endswith("\nMore: repeat the command with --cursor abc\n")


def test_status_asks_for_the_attempts_only_to_show_them(api: Api) -> None:
    api.will_say(SENT, {"items": []})

    assert json.loads(api.run("status", "5", "--json").stdout) == SENT
    assert [path for _, path, _ in api.asked] == ["/api/notifications/5"]


def test_a_proxy_of_the_environment_is_not_used_for_loopback(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    api.will_say({"items": [], "nextCursor": None})

    assert api.run("list").exit_code == 0


@pytest.mark.parametrize("words", [("send", "--to", "a@example.com", "--message", "Hi"), ("status", "5"), ("list",)])
def test_each_command_sends_the_key_of_the_environment(api: Api, words: tuple[str, ...]) -> None:
    api.will_say({**SENT, "items": []})

    assert api.run(*words, key="ntf_live_1_x").exit_code == 0
    assert set(api.keys) == {"Bearer ntf_live_1_x"}
    assert api.run(*words).exit_code == 0
    assert api.keys[-1] is None


def test_a_key_is_not_sent_to_the_target_of_a_redirect(api: Api) -> None:
    api.will_say({**SENT, "items": []})
    api.sends_on = True

    assert api.run("list", key="ntf_live_1_x").exit_code == 0
    assert [path for _, path, _ in api.asked] == ["/api/notifications", "/elsewhere"]
    assert api.keys == ["Bearer ntf_live_1_x", None]
