"""`notify up` as a person runs it: from nothing to a caught mail, through crashes, to an orderly end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.client import Client
from tests.environment import cleared
from tests.eventually import eventually
from tests.processes import Group
from tests.scrapes import scraped
from tests.system import free_port

pytestmark = pytest.mark.long

NOTIFY = Path(sys.executable).with_name("notify")
SOON = {"RETRY_MIN_BACKOFF": "0.3", "RELAY_GRACE": "1", "UPKEEP_INTERVAL": "0.2", "WORKER_TIMEOUT": "3"}


class Up:
    """One data directory and one port, on which `notify up` is started again and again."""

    def __init__(self, directory: Path) -> None:
        self.log = directory / "up.log"
        self.port = free_port()
        self.environ = {
            **cleared(),
            **SOON,
            "DATA_DIR": str(directory / "data"),
            "BIND": f"127.0.0.1:{self.port}",
            "NOTIFY_URL": f"http://127.0.0.1:{self.port}",
            "WEB_CONCURRENCY": "1",
            "LOG_FORMAT": "json",
        }
        self.group: Group | None = None

    def running(self) -> Group:
        """The running system, started where it is not."""
        if self.group is None or not self.group.running:
            self.log.unlink(missing_ok=True)
            self.group = Group(["notify", "up"], self.environ, self.log)
            eventually(self._is_up, within=30, saying=self.text)
        return self.group

    def notify(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command of `notify` to its end."""
        return subprocess.run(
            [NOTIFY, *words],
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def send(self, message: str = "Hello") -> int:
        """Send a mail, wait until it is sent; the notification's id."""
        command = ["send", "--to", "a@example.com", "--message", message, "--wait", "60", "--json"]
        done = self.notify(*command)
        assert done.returncode == 0, f"{done.stderr}\n{self.text()}"
        return int(json.loads(done.stdout)["id"])

    def events(self, event: str) -> list[Mapping[str, Any]]:
        """The supervisor's own log lines of one kind."""
        lines = [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("component") == "up" and line["event"] == event]

    def pids(self, service: str) -> list[int]:
        """Process ids of a service, one for each time it was started."""
        return [line["pid"] for line in self.events("service.started") if line["service"] == service]

    def text(self) -> str:
        """All that was said."""
        return self.log.read_text(errors="replace")

    def _is_up(self) -> bool:
        assert self.group is not None
        if not self.group.running:
            pytest.fail(f"notify up has ended: {self.text()}")
        return "The notification system is up" in self.text()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    one = Up(tmp_path_factory.mktemp("up"))
    yield one
    if one.group is not None:
        one.group.stop()


def test_notify_up_starts_in_an_empty_directory_and_catches_the_mail(up: Up) -> None:
    up.running()

    up.send("From nothing")

    caught = json.loads(up.notify("inbox", "1", "--json").stdout)
    assert caught["to"] == ["a@example.com"]
    assert caught["text"].strip() == "From nothing"


def test_notify_up_catches_text_messages_in_the_same_inbox(up: Up) -> None:
    up.running()
    client = Client(up.port)

    made = client.post("/api/notifications", {"type": "sms", "recipient": "+41791234567", "message": "Your code: 42"})
    assert made.status == 201, made.raw
    assert client.get(f"/api/notifications/{made.json['id']}", wait=20).json["status"] == "sent", up.text()

    newest = json.loads(up.notify("inbox", "--json").stdout)["items"][0]
    assert (newest["to"], newest["subject"]) == (["+41791234567"], "[sms] Your code: 42")


def test_notify_up_catches_messages_to_destinations_of_the_catcher(up: Up) -> None:
    up.running()
    client = Client(up.port)
    [url] = re.findall(r"--target (http://127\.0\.0\.1:\d+)/chat", up.text())
    places = (
        ("alerts", "slack", "chat", {"message": "<Disk> full"}),
        ("orders", "webhook", "webhook", {"payload": 42}),
    )
    for name, kind, type, content in places:
        made = up.notify("destinations", "create", name, "--kind", kind, "--target", f"{url}/{type}")
        assert made.returncode == 0, made.stderr
        sent = client.post("/api/notifications", {"type": type, "recipient": name, **content})
        assert sent.status == 201, sent.raw
        assert client.get(f"/api/notifications/{sent.json['id']}", wait=20).json["status"] == "sent", up.text()

    newest = json.loads(up.notify("inbox", "--json").stdout)["items"][:2]
    assert [mail["to"] for mail in newest] == [["webhook"], ["chat"]]
    assert newest[1]["subject"] == "[chat] <Disk> full"
    assert json.loads(json.loads(up.notify("inbox", str(newest[0]["number"]), "--json").stdout)["text"])["data"] == 42


def test_notify_up_tells_how_to_make_the_first_key_if_keys_are_required(tmp_path: Path) -> None:
    one = Up(tmp_path)
    one.environ["AUTH"] = "required"
    group = one.running()
    try:
        [url] = re.findall(r"DATABASE_URL='([^']+)' \S*notify keys create", one.text())
        made = one.notify("keys", "create", "--name", "app", "--scope", "send", "--scope", "read", DATABASE_URL=url)
        assert one.notify("list").returncode == 1
        assert one.notify("list", NOTIFY_KEY=made.stdout.strip()).returncode == 0
    finally:
        group.stop()


def test_clients_and_keys_commands_find_the_database_of_the_running_notify_up(up: Up) -> None:
    up.running()
    made = up.notify("clients", "create", "--name", "shop", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(
        up.notify("keys", "create", "--client", "shop", "--name", "k", "--scope", "read", "--json").stdout
    )
    assert "shop" in up.notify("clients", "list").stdout

    elsewhere = up.notify("clients", "list", DATA_DIR=up.environ["DATA_DIR"] + "-elsewhere")
    assert (elsewhere.returncode, "DATABASE_URL is not set" in elsewhere.stderr) == (4, True)


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("limits",),
        ("heartbeat",),
        ("migrate", "--plan"),
        ("queues",),
        ("workers",),
        ("retention", "--dry-run"),
        ("audit",),
        ("doctor",),
        ("resume", "--all"),
    ],
    ids=" ".join,
)
def test_a_command_finds_the_notify_up_that_runs_on_the_data_directory(up: Up, words: tuple[str, ...]) -> None:
    up.running()
    found = up.notify(*words, NOTIFY_URL="")
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("words", [("heartbeat",), ("migrate",), ("queues",), ("clients", "list")], ids=" ".join)
def test_a_command_without_a_database_says_what_to_set(up: Up, words: tuple[str, ...], tmp_path: Path) -> None:
    elsewhere = up.notify(*words, DATA_DIR=str(tmp_path))
    assert (elsewhere.returncode, "DATABASE_URL is not set" in elsewhere.stderr) == (4, True), elsewhere.stderr


def test_notify_up_listens_on_loopback_only(up: Up) -> None:
    family = _descendants(up.running().pid)

    listening = _listening(family)

    assert {host for host, _ in listening} == {"127.0.0.1"}
    assert up.port in {port for _, port in listening}


def test_one_metrics_address_has_the_counts_of_api_and_worker(up: Up) -> None:
    up.running()
    up.send()

    def all_is_counted() -> bool:
        seen = scraped(Client(up.port))
        assert seen.sum("notify_processes", program="api") == seen.sum("notify_processes", program="worker") == 1
        return seen.sum("notify_attempts_total", outcome="sent") == seen.sum("notify_accepted_total") >= 1

    eventually(all_is_counted)  # Workers count outcomes in each round of upkeep, once a second.


def test_a_second_notify_up_on_the_same_data_is_refused(up: Up) -> None:
    first = up.running()

    second = up.notify("up", BIND=f"127.0.0.1:{free_port()}")

    assert second.returncode == 1
    assert second.stderr.startswith(f"Error: Another `notify up` (process {first.pid}) runs on")
    assert second.stderr.count("\n") == 1


def test_a_taken_port_is_reported_before_anything_starts(up: Up, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = up.notify("up", BIND=f"127.0.0.1:{port}", DATA_DIR=str(tmp_path))

    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 is in use: stop what uses it, or set BIND=127.0.0.1:{port + 1}" in done.stderr
    assert not list(tmp_path.glob("postgres*"))


@pytest.mark.parametrize("service", ["worker", "api", "valkey", "postgres"])
def test_a_killed_child_is_restarted(up: Up, service: str) -> None:
    up.running()
    up.send()
    before = up.pids(service)
    family = _descendants(before[-1])

    os.kill(before[-1], signal.SIGKILL)

    eventually(lambda: len(up.pids(service)) > len(before), within=15, saying=up.text)
    assert not _alive(family)
    eventually(lambda: _answers(up), within=10, saying=up.text)
    up.send(f"after the death of {service}")


def test_sigterm_stops_all_in_order_and_a_new_start_continues_with_the_data(up: Up) -> None:
    group = up.running()
    id = up.send("to be found again")
    family = _descendants(group.pid)

    group.signal(signal.SIGTERM)
    eventually(lambda: not group.running, within=20, saying=up.text)

    assert not _alive(family)
    assert [line["service"] for line in up.events("service.stopped")] == [
        "api",
        "worker",
        "fakes",
        "catcher",
        "valkey",
        "postgres",
    ]
    assert all(line["how"] in ("exit code 0", "done") for line in up.events("service.stopped")), up.text()
    up.running()
    assert "to be found again" in up.notify("status", str(id)).stdout


@pytest.mark.parametrize(
    "numbers", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM), (signal.SIGHUP,)]
)
def test_stop_signals_that_come_together_are_one_orderly_stop(up: Up, numbers: tuple[int, ...]) -> None:
    group = up.running()
    up.send()
    for number in numbers:
        group.signal_all(number)
    eventually(lambda: not group.running, within=40, saying=up.text)
    assert {line["how"] for line in up.events("service.stopped")} <= {"exit code 0", "done"}, up.text()


def test_commands_with_another_tmpdir_find_the_running_notify_up(up: Up, tmp_path: Path) -> None:
    up.running()
    up.send()
    assert up.notify("clients", "list", TMPDIR=str(tmp_path)).returncode == 0
    assert up.notify("inbox", TMPDIR=str(tmp_path)).returncode == 0


def test_a_killed_supervisor_leaves_its_data_and_no_process(up: Up) -> None:
    group = up.running()
    id = up.send()
    family = _descendants(group.pid)

    group.signal(signal.SIGKILL)
    eventually(lambda: not _alive(family), within=30, saying=lambda: _alive(family))

    up.running()
    assert up.notify("status", str(id)).returncode == 0
    up.send("and it works")


def test_a_stop_during_the_start_leaves_no_process(up: Up, tmp_path: Path) -> None:
    another = Up(tmp_path)
    group = Group(["notify", "up"], another.environ, another.log)
    eventually(lambda: another.pids("valkey"), within=20, saying=another.text)
    family = _descendants(group.pid)

    group.signal(signal.SIGINT)

    eventually(lambda: not group.running, within=20, saying=another.text)
    assert not _alive(family)
    assert "Traceback" not in another.text()


def _answers(up: Up) -> bool:
    return up.notify("list", "--limit", "1").returncode == 0


def _descendants(pid: int) -> list[int]:
    """A process and all that it started, whatever session they are in."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(stat.parent.name))
    family = [pid]
    for member in family:
        family += parents.get(member, [])
    return family


def _alive(pids: list[int]) -> list[str]:
    """The command lines of those that still run."""
    alive = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if state not in "ZX":
            alive.append(f"{pid} {command}")
    return alive


def _listening(pids: list[int]) -> set[tuple[str, int]]:
    """Where these processes listen: /proc/net/tcp, and tcp6 as an address that nobody expects."""
    inodes = {str(fd.readlink())[8:-1] for pid in pids for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()}
    places = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                host, port = fields[1].split(":")
                packed = bytes.fromhex(host)[::-1]
                places.add((socket.inet_ntoa(packed) if len(packed) == 4 else "IPv6", int(port, 16)))
    return places
