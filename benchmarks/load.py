"""Closed-loop load: N connections, each with one POST in flight. wrk where it is installed, else Python."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.wire import PATH

LONGEST = 900  # seconds; more is a server that does not answer
LUA = Path(__file__).with_name("post.lua")


@dataclass(frozen=True, slots=True)
class Load:
    """Answers of any kind, of which `errors` were not 201; lost requests are errors too. Times in ms."""

    answers: int
    seconds: float
    errors: int
    p50: float
    p95: float
    p99: float

    @property
    def rate(self) -> float:
        """Accepted notifications per second."""
        return (self.answers - self.errors) / self.seconds


def tool() -> str:
    """The generator that `for_seconds` uses here, for the report."""
    return "wrk" if shutil.which("wrk") else "python"


def for_seconds(url: str, connections: int, seconds: int, prefix: str, items: int = 0) -> Load:
    """POST as fast as answers come; `items` of them at a time, to a `url` with the path for that."""
    if tool() == "python":
        return python_for_seconds(url, connections, seconds, prefix, items)
    path = "" if items else PATH
    # The pause at the end of a run is wrk's own; -t1 leaves the other cores to what is measured.
    words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(LUA), url + path, "--", prefix, str(items)]
    return _run(words)


def python_for_seconds(url: str, connections: int, seconds: int, prefix: str, items: int = 0) -> Load:
    """The same without wrk."""
    return _python(url, connections, prefix, "--seconds", str(seconds), *(["--items", str(items)] if items else []))


def exactly(url: str, connections: int, count: int, prefix: str) -> Load:
    """POST `count` notifications to `prefix`1@example.com and up."""
    return _python(url, connections, prefix, "--count", str(count))


def _python(url: str, connections: int, prefix: str, *until: str) -> Load:
    return _run([sys.executable, "-m", "benchmarks.closedloop", url, str(connections), prefix, *until])


def _run(command: list[str]) -> Load:
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=LONGEST)
    return Load(**json.loads(done.stdout.strip().splitlines()[-1]))
