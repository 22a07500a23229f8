"""Floors: the speed of each component alone, on the same machine and servers. No system built on them can be faster.

Measured with pgbench, redis-benchmark and wrk if they are installed, else with Python clients; the label tells which.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import load
from benchmarks.floor_clients import inserts, pushes
from benchmarks.processes import Part
from benchmarks.servers import free_port
from benchmarks.stack import Stack
from benchmarks.target import ROOT
from cli.servers import locate

DATABASE = "floor"
CLIENTS = 16
PUSHES = 200_000
TABLE = "CREATE TABLE floor (id bigserial PRIMARY KEY, recipient text, message text, status text, at timestamptz)"
INSERT = "INSERT INTO floor (recipient, message, status, at) VALUES ('a@example.com', 'Hello', 'pending', now())"


def measure(stack: Stack, seconds: int) -> dict[str, float]:
    """Return the rates per second, by label."""
    stack.fresh(DATABASE)
    stack.execute(DATABASE, TABLE)
    stack.checkpoint()
    return dict([_postgresql(stack, seconds), _redis(stack), *_http(stack, seconds), _sink(stack)])


def _postgresql(stack: Stack, seconds: int) -> tuple[str, float]:
    what = f"one INSERT and its commit, {CLIENTS} clients"
    pgbench = shutil.which("pgbench") or shutil.which(str(locate.postgres().with_name("pgbench")))
    if not pgbench:
        return f"{what} (psycopg2; no pgbench here)", inserts(stack.postgres.url_of(DATABASE), INSERT, CLIENTS, seconds)
    script = stack.folder / "insert.sql"
    script.write_text(INSERT + ";\n")
    environ = stack.environment(DATABASE, 0)
    words = [pgbench, "-n", "-M", "prepared", "-f", str(script), "-c", str(CLIENTS), "-T", str(seconds)]
    said = _said(words, dict(environ))
    return f"{what} (pgbench)", float(_found(r"tps = ([\d.]+)", said))


def _redis(stack: Stack) -> tuple[str, float]:
    what = f"RPUSH, {CLIENTS} clients"
    beside = [locate.valkey().with_name(name) for name in ("valkey-benchmark", "redis-benchmark")]
    tools = filter(None, map(shutil.which, ["redis-benchmark", "valkey-benchmark", *map(str, beside)]))
    if not (tool := next(tools, None)):
        return "RPUSH, 1 client, 100 in a pipeline (redis-py; no redis-benchmark here)", pushes(stack.redis(), PUSHES)
    port = str(stack.redis_server.port)
    said = _said([tool, "-p", port, "-t", "rpush", "-n", str(PUSHES), "-c", str(CLIENTS), "-q"], dict(os.environ))
    return f"{what} (redis-benchmark)", float(_found(r"RPUSH: ([\d.]+) requests per second", said))


def _http(stack: Stack, seconds: int) -> Iterator[tuple[str, float]]:
    what = "POST to a server that only answers"
    with _bare(stack) as url:
        if load.tool() == "wrk":
            for connections in (1, 64):
                rate = load.for_seconds(url, connections, seconds, "bare-").rate
                yield f"{what}, {connections} connection{'s' * (connections > 1)} (wrk)", rate
        rate = load.python_for_seconds(url, 64, seconds, "bare-").rate
        yield f"{what}, 64 connections (limit of the Python generator)", rate


@contextmanager
def _bare(stack: Stack) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    gunicorn = str(Path(sys.executable).with_name("gunicorn"))
    words = [gunicorn, "-c", "python:benchmarks.bare", "-b", f"127.0.0.1:{port}", "benchmarks.bare:app"]
    server = Part(words, os.environ, ROOT, stack.folder / "bare.log", lambda: _answers(url))
    server.start()
    try:
        yield url
    finally:
        server.stop()


def _sink(stack: Stack) -> tuple[str, float]:
    said = _said([sys.executable, "-m", "benchmarks.flood", str(stack.smtp_port)], dict(os.environ))
    return "mails to the SMTP sink, 16 persistent connections", float(said)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _said(words: list[str], environ: dict[str, str]) -> str:
    return subprocess.run(
        words, cwd=ROOT, env=environ, check=True, capture_output=True, text=True, timeout=120
    ).stdout  # fmt: skip


def _found(pattern: str, said: str) -> str:
    found = re.findall(pattern, said)
    if not found:
        raise ValueError(f"no {pattern!r} in {said[-500:]!r}")
    return str(found[-1])
