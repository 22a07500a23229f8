"""Log lines, and that no address, message or password is in them."""

from __future__ import annotations

import ast
import asyncio
import json
import logging
import os
import re
import select
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from runtime import logs
from settings import read
from tests.processes import ROOT

JSON = {"LOG_FORMAT": "json"}

LINES = """
import logging, sys
import settings
from runtime import logs
logs.configure(settings.load(), "test")
logs.begin(left="behind")
logs.begin(request_id="r1")
log = logs.get("part")
log.debug("debugged")
log.info("noted", id=5, recipient=logs.masked("Jane.Doe@example.com"))
logging.getLogger("library").warning("beware of %s", "dogs")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("broken")
logging.getLogger("library").debug("chatter")
"""


def lines(**environ: str) -> str:
    """Return the output of a process that logs in each of our ways."""
    done = subprocess.run([sys.executable, "-c", LINES], env=environ, cwd=ROOT, capture_output=True, check=True)
    assert done.stdout == b""
    return done.stderr.decode()


@pytest.fixture(scope="module")
def events() -> list[Any]:
    return [json.loads(line) for line in lines(LOG_FORMAT="json").splitlines()]


def test_each_event_is_one_line_of_json_with_its_context(events: list[Any]) -> None:
    noted = events[0]

    assert datetime.fromisoformat(noted.pop("time")).utcoffset() == timedelta(0)
    assert re.fullmatch(r"test/\d+", noted.pop("process"))
    assert noted == {
        "event": "noted",
        "level": "info",
        "component": "part",
        "request_id": "r1",
        "id": 5,
        "recipient": logs.masked("Jane.Doe@example.com"),
    }


def test_log_lines_of_libraries_have_the_same_form(events: list[Any]) -> None:
    [theirs] = [event for event in events if event.get("logger") == "library"]

    assert (theirs["event"], theirs["level"], theirs["request_id"]) == ("beware of dogs", "warning", "r1")


def test_a_traceback_is_part_of_one_json_line(events: list[Any]) -> None:
    [broken] = [event for event in events if event["event"] == "broken"]

    assert "ZeroDivisionError" in broken["exception"]


@pytest.mark.parametrize(
    ("level", "events"),
    [
        ("debug", ["debugged", "noted", "beware of dogs", "broken"]),
        ("info", ["noted", "beware of dogs", "broken"]),
        ("warning", ["beware of dogs", "broken"]),
        ("error", ["broken"]),
    ],
)
def test_the_setting_log_level_drops_less_severe_lines(level: str, events: list[str]) -> None:
    said = lines(LOG_FORMAT="json", LOG_LEVEL=level).splitlines()

    assert [json.loads(line)["event"] for line in said] == events


def test_the_console_format_is_plain_text() -> None:
    assert "noted" in lines(LOG_FORMAT="console")
    assert not lines(LOG_FORMAT="console").startswith("{")


def test_logs_are_json_if_stderr_is_not_a_terminal() -> None:
    assert lines().startswith("{")


def test_a_masked_address_shows_its_domain_only() -> None:
    masked = logs.masked("Jane.Doe@example.com")

    assert masked.startswith("example.com#")
    assert "jane" not in masked.lower()
    assert masked == logs.masked("jane.doe@example.com")


@given(local=st.text(min_size=9), domain=st.text())
def test_no_local_part_is_in_a_masked_address(local: str, domain: str) -> None:
    domain = domain.replace("@", "").lower()

    assert re.fullmatch(re.escape(domain) + "#[0-9a-f]{8}", logs.masked(f"{local}@{domain}"), re.DOTALL)


SAMPLED = """
import settings
from runtime import logs
logs.configure(settings.load())
log = logs.get("part")
for id in range(1000):
    log.routine("accepted", id, id=id)
    log.routine("sent", id, id=id)
    log.routine("drawn")
    log.info("retried", id=id)
log.routine("whole", 0)
log.routine_of("together", list(range(1000)))
"""


def sampled(rate: str) -> list[Any]:
    environ = {"LOG_SAMPLE": rate, "LOG_FORMAT": "json"}
    done = subprocess.run([sys.executable, "-c", SAMPLED], env=environ, cwd=ROOT, capture_output=True, check=True)
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_routine_events_are_sampled_and_tell_their_sample_rate() -> None:
    said = sampled("0.1")

    kept = {event: [s for s in said if s["event"] == event] for event in ("accepted", "sent", "drawn", "retried")}
    assert 80 <= len(kept["sent"]) <= 120
    assert [s["id"] for s in kept["sent"]] == [s["id"] for s in kept["accepted"]]
    assert 50 <= len(kept["drawn"]) <= 160
    assert [s["ids"] for s in said if s["event"] == "together"] == [[s["id"] for s in kept["sent"]]]
    assert len(kept["retried"]) == 1000
    assert {s.get("sample") for s in said if s["event"] != "retried"} == {0.1}
    assert not any("sample" in s for s in kept["retried"])


@pytest.mark.parametrize(("rate", "kept"), [("0", 0), ("1", 1000)])
def test_sampling_can_keep_all_routine_events_or_none(rate: str, kept: int) -> None:
    said = sampled(rate)

    assert sum(s["event"] == "sent" for s in said) == kept
    assert [len(s["ids"]) for s in said if s["event"] == "together"] == [kept] * bool(kept)
    assert not any("sample" in s for s in said)


@pytest.mark.parametrize("value", ["\ud800", 1 << 70, b"bytes", {1: 2}, object()])
def test_a_line_with_any_value_is_valid_json(value: object, capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(read({"LOG_FORMAT": "json"}))

    logs.get("part").info("odd", value=value)

    assert json.loads(capfd.readouterr().err)["event"] == "odd"


def test_a_line_that_cannot_be_written_raises_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", broken)

    logs.get("part").info("unheard")


def events_of(path: Path) -> set[str]:
    """Return the events that a module logs by a literal name."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call) and node.args]
    named = {"debug", "info", "warning", "error", "exception", "routine"}
    logged = [c for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr in named]
    ours = [c.args[0] for c in logged if ast.unparse(c.func).startswith(("log.", "self._log."))]
    return {node.value for node in ours if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_every_event_above_debug_is_in_the_documented_table() -> None:
    documented = re.findall(r"`([a-z_]+|[a-z_]+\.[a-z_*]+)`", (ROOT / "docs" / "logs.md").read_text())
    events = {
        event
        for name in ("api", "actors", "cli", "runtime")
        for path in (ROOT / name).rglob("*.py")
        for event in events_of(path)
    }
    assert len(events) > 30

    assert {e for e in events - {"wake_up.skipped"} if not any(fnmatch(e, known) for known in documented)} == set()


def broken(_fd: int, _data: bytes) -> int:
    raise BrokenPipeError


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Data of each write to stderr by a process that logs JSON."""
    calls: list[bytes] = []

    def write(fd: int, data: bytes) -> int:
        assert fd == 2
        calls.append(data)
        return len(data)

    logs.configure(read({"LOG_FORMAT": "json"}))
    monkeypatch.setattr(os, "write", write)
    return calls


def named(data: bytes) -> list[str]:
    return [json.loads(line)["event"] for line in data.splitlines()]


def exits(code: str) -> list[str]:
    """Return the names of the lines that a process logs which runs the code and ends."""
    begun = "import asyncio, os, settings; from runtime import logs; logs.configure(settings.load())"
    code = f"{begun}; log = logs.get('part')\n{code}"
    done = subprocess.run([sys.executable, "-c", code], env=JSON, cwd=ROOT, capture_output=True, check=True)
    return named(done.stderr)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_log_lines_of_one_iteration_of_the_event_loop_are_written_together(
    written: list[bytes], loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def turns() -> None:
        for name in ("first", "second", "third"):
            logs.get("part").info(name)
        assert written == []
        await asyncio.sleep(0)
        assert [named(data) for data in written] == [["first", "second", "third"]]
        logs.get("part").info("fourth")
        await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(turns())
    assert [named(data) for data in written[1:]] == [["fourth"]]


@pytest.mark.parametrize("level", ["warning", "error", "exception"])
def test_warnings_and_errors_are_written_at_once_after_the_lines_before_them(written: list[bytes], level: str) -> None:
    async def turn() -> None:
        logs.get("part").info("before")
        getattr(logs.get("part"), level)("wrong")
        assert [named(data) for data in written] == [["before", "wrong"]]

    asyncio.run(turn())
    assert len(written) == 1


def test_log_lines_of_libraries_are_written_at_once(written: list[bytes]) -> None:
    async def turn() -> None:
        logging.getLogger("library").info("said")
        assert [named(data) for data in written] == [["said"]]

    asyncio.run(turn())


def test_a_thread_without_a_loop_writes_its_line_at_once(written: list[bytes]) -> None:
    async def turn() -> None:
        logs.get("part").info("before")
        thread = threading.Thread(target=lambda: logs.get("part").info("other"))
        thread.start()
        thread.join(10)
        assert [named(data) for data in written] == [["before", "other"]]

    asyncio.run(turn())


def test_a_second_event_loop_writes_its_lines_after_the_first_one_stopped_early(written: list[bytes]) -> None:
    first = asyncio.new_event_loop()
    first.call_soon(lambda: logs.get("part").info("left"))
    first.call_soon(first.stop)
    first.run_forever()
    first.close()
    assert written == []

    async def turn() -> None:
        logs.get("part").info("later")
        await asyncio.sleep(0)
        assert [named(data) for data in written] == [["left", "later"]]

    asyncio.run(turn())


def test_a_signal_handler_that_logs_during_a_write_breaks_no_line(
    monkeypatch: pytest.MonkeyPatch, written: list[bytes]
) -> None:
    write = os.write

    def interrupted(fd: int, data: bytes) -> int:
        if not written:
            write(fd, data)
            logs.get("part").warning("interrupting")
            return len(data)
        return write(fd, data)

    monkeypatch.setattr(os, "write", interrupted)
    logs.get("part").warning("interrupted")
    assert [named(data) for data in written] == [["interrupted"], ["interrupting"]]


def test_no_write_is_larger_than_a_pipe_takes_atomically(written: list[bytes]) -> None:
    async def turn() -> None:
        for number in range(100):
            logs.get("part").info(f"line-{number}", text="x" * (number * 7))

    asyncio.run(turn())
    assert len(written) > 1
    assert all(len(data) <= select.PIPE_BUF and data.endswith(b"\n") for data in written)
    assert [name for data in written for name in named(data)] == [f"line-{number}" for number in range(100)]


def test_a_process_writes_its_buffered_lines_when_it_ends() -> None:
    assert exits(
        "loop = asyncio.new_event_loop()\n"
        "loop.call_soon(log.info, 'left')\n"
        "loop.call_soon(loop.stop)\n"
        "loop.run_forever()"
    ) == ["left"]


def test_a_forked_child_does_not_write_the_buffered_lines_of_its_parent() -> None:
    assert exits(
        "async def turn():\n"
        "    log.info('parent')\n"
        "    if pid := os.fork(): os.waitpid(pid, 0)\n"
        "    else: log.warning('child'); os._exit(0)\n"
        "asyncio.run(turn())"
    ) == ["child", "parent"]


def test_processes_that_share_a_pipe_do_not_mix_their_lines() -> None:
    said = exits(
        "async def turns():\n"
        "    for turn in range(40):\n"
        "        for number in range(40): log.info(f'{child}-{turn}-{number}', text='x' * (number * 11))\n"
        "        await asyncio.sleep(0)\n"
        "for child in range(4):\n"
        "    if not os.fork(): asyncio.run(turns()); os._exit(0)\n"
        "for child in range(4): os.wait()"
    )
    assert sorted(said) == sorted(f"{c}-{t}-{n}" for c in range(4) for t in range(40) for n in range(40))


def test_a_forked_process_writes_its_own_id() -> None:
    code = "import os, settings; from runtime import logs; logs.configure(settings.load(), 'test'); pid = os.fork(); "
    code += "print(pid) if pid and os.waitpid(pid, 0) else pid or logs.get('part').info('child')"
    done = subprocess.run([sys.executable, "-c", code], env=JSON, cwd=ROOT, capture_output=True, check=True)
    assert json.loads(done.stderr)["process"] == f"test/{int(done.stdout)}"
