"""Closed-loop load: N connections, each with one POST in flight. Uses wrk if it is installed, else Python."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.wire import PATH

LONGEST = 900  # seconds after which the server is considered hanging
LUA = Path(__file__).with_name("post.lua")


@dataclass(frozen=True, slots=True)
class Load:
    """Result of a run. `errors`: answers other than 201, and lost requests. Percentiles are in milliseconds."""

    answers: int
    seconds: float
    errors: int
    p50: float
    p95: float
    p99: float

    @property
    def rate(self) -> float:
        """POSTs per second that were answered with 201."""
        return (self.answers - self.errors) / self.seconds


def tool() -> str:
    """Return the name of the generator that `for_seconds` uses on this machine."""
    return "wrk" if shutil.which("wrk") else "python"


def for_seconds(url: str, connections: int, seconds: int, prefix: str, items: int = 0) -> Load:
    """POST for some seconds. With `items`, each POST is a batch of that many, to a `url` that includes the path."""
    if tool() == "python":
        return python_for_seconds(url, connections, seconds, prefix, items)
    path = "" if items else PATH
    # One thread, so that the other cores are free for the measured system.
    words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(LUA), url + path, "--", prefix, str(items)]
    return _run(words)


def python_for_seconds(url: str, connections: int, seconds: int, prefix: str, items: int = 0) -> Load:
    """POST for some seconds from Python, even if wrk is installed."""
    return _python(url, connections, prefix, "--seconds", str(seconds), *(["--items", str(items)] if items else []))


def exactly(url: str, connections: int, count: int, prefix: str) -> Load:
    """POST `count` notifications to `prefix`1@example.com and up."""
    return _python(url, connections, prefix, "--count", str(count))


def _python(url: str, connections: int, prefix: str, *until: str) -> Load:
    return _run([sys.executable, "-m", "benchmarks.closedloop", url, str(connections), prefix, *until])


def _run(command: list[str]) -> Load:
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=LONGEST)
    return Load(**json.loads(done.stdout.strip().splitlines()[-1]))
