"""A system to measure: how it is started, told as a small JSON file, so that any other can be raced.

docs/benchmarks.md documents the file. Ours is one too, built in.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

ROOT = Path(__file__).resolve().parent.parent
WORKERS = 2  # worker processes, where nothing else is said


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Commands and their environment. `$NAME` in a value of `env` and in a command is filled in."""

    name: str
    api: str
    workers: str
    prepare: str = ""
    after_fill: str = ""
    ready: str = "/"
    # The path of POSTs of {"items": [...]}, if it takes such.
    batch: str = ""
    # What is measured with our own tables and keys as well.
    ours: bool = False
    folder: Path = ROOT
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def scales(self) -> bool:
        """Whether it can be told how many worker processes to run."""
        return "$WORKERS" in self.workers

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """What its commands see: what the benchmark gives, then the target's own."""
        return {**given, **{name: Template(value).substitute(given) for name, value in self.env.items()}}


def command(text: str, environ: Mapping[str, str]) -> list[str]:
    """A command as its words; no shell, so that a signal reaches the program and not a shell before it."""
    return [Template(word).substitute(environ) for word in shlex.split(text)]


def read(path: Path) -> Target:
    """A target file; `folder` in it is relative to the file."""
    told = json.loads(path.read_text())
    told["folder"] = path.resolve().parent / told.get("folder", ".")
    return Target(**told)


def ours(threads: int) -> Target:
    """This project with its defaults: logs, upkeep and every guarantee switched on."""
    scripts = shlex.quote(str(Path(sys.executable).parent))
    return Target(
        name="notification-system",
        prepare=f"{scripts}/notify migrate",
        api=f"{scripts}/gunicorn",
        workers=f"{scripts}/dramatiq actors -p $WORKERS -t {threads}",
        ready="/healthz",
        batch="/api/notifications/batch",
        ours=True,
        env={
            "BIND": "127.0.0.1:$PORT",
            "SMTP_URL": "smtp://$SMTP_HOST:$SMTP_PORT?starttls=off",
            "MAIL_FROM": "bench@example.com",
            "WEB_CONCURRENCY": "2",
            "AUTH": "off",
        },
    )
