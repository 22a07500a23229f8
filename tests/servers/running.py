"""Commands of the project, run as an operator runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from click.testing import CliRunner, Result

import settings
from cli.main import notify as command
from db import database
from tests.eventually import eventually
from tests.integration.api import NOWHERE
from tests.processes import ROOT, Group
from tests.system import System


class Ran(NamedTuple):
    """The exit code of a command, and the text of both of its outputs."""

    code: int
    said: str


def invoke(words: tuple[str, ...], environ: Mapping[str, str]) -> Result:
    """Run `notify` with this environment, in this process: the start of a new one takes longer than most commands."""
    with mock.patch.dict(os.environ, environ, clear=True):
        settings.load.cache_clear()
        try:
            return CliRunner().invoke(command, words, catch_exceptions=False)
        finally:
            settings.load.cache_clear()
            if not database.database.is_closed():
                database.database.close()


def notify(url: str, *words: str, **environ: str) -> Ran:
    """Run `notify` with this DATABASE_URL, as `invoke` does."""
    done = invoke(words, _environ(url) | environ)
    return Ran(done.exit_code, done.output)


def notify_process(url: str, *words: str, **environ: str) -> Ran:
    """Run `notify` with this DATABASE_URL in a process of its own."""
    program = [str(Path(sys.executable).parent / "notify"), *words]
    done = subprocess.run(
        program, cwd=ROOT, env=_environ(url) | environ, capture_output=True, text=True, timeout=240, check=False
    )
    return Ran(done.returncode, done.stdout + done.stderr)


def _environ(url: str) -> dict[str, str]:
    return System(Path("/nonexistent"), database_url=url, redis_url="redis://127.0.0.1:9/0", smtp_url=NOWHERE).environ


def starts(directory: Path, url: str, redis_url: str) -> dict[str, Ran]:
    """Try to start the API and a worker that are to refuse it, both at the same time."""
    system = System(directory, database_url=url, redis_url=redis_url, smtp_url=NOWHERE)
    commands = {"api": ["gunicorn"], "worker": ["dramatiq", "actors", "-p", "1", "-t", "1"]}
    groups = {name: Group(command, system.environ, directory / f"{name}.log") for name, command in commands.items()}
    for group in groups.values():
        eventually(lambda group=group: not group.running, within=60, saying=system.logs)  # type: ignore[misc]
    return {name: Ran(group.stop(), group.log.read_text()) for name, group in groups.items()}
