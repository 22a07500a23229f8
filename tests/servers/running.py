"""Commands of the project, run as an operator runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.eventually import eventually
from tests.integration.api import NOWHERE
from tests.processes import ROOT, Group
from tests.system import System


class Ran(NamedTuple):
    """The exit code of a command, and the text of both of its outputs."""

    code: int
    said: str


def notify(url: str, *words: str, **environ: str) -> Ran:
    """Run `notify` with this DATABASE_URL."""
    system = System(Path("/nonexistent"), database_url=url, redis_url="redis://127.0.0.1:9/0", smtp_url=NOWHERE)
    command = [str(Path(sys.executable).parent / "notify"), *words]
    done = subprocess.run(
        command, cwd=ROOT, env=system.environ | environ, capture_output=True, text=True, timeout=120, check=False
    )
    return Ran(done.returncode, done.stdout + done.stderr)


def starts(directory: Path, url: str, redis_url: str) -> dict[str, Ran]:
    """Try to start the API and a worker that are to refuse it, both at the same time."""
    system = System(directory, database_url=url, redis_url=redis_url, smtp_url=NOWHERE)
    commands = {"api": ["gunicorn"], "worker": ["dramatiq", "actors", "-p", "1", "-t", "1"]}
    groups = {name: Group(command, system.environ, directory / f"{name}.log") for name, command in commands.items()}
    for group in groups.values():
        eventually(lambda group=group: not group.running, within=60, saying=system.logs)  # type: ignore[misc]
    return {name: Ran(group.stop(), group.log.read_text()) for name, group in groups.items()}
