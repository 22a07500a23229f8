"""Description of a system to measure: its commands, read from a small JSON file.

docs/benchmarks.md documents the file. The description of our own system is built in.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Template

ROOT = Path(__file__).resolve().parent.parent
WORKERS = 2  # worker processes by default


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Commands and environment of a system. `$NAME` is replaced in commands and in the values of `env`."""

    name: str
    api: str
    workers: str
    prepare: str = ""
    after_fill: str = ""
    ready: str = "/"
    # Path for POSTs of {"items": [...]}, if the system has batches.
    batch: str = ""
    # True for our own system, of which more can be measured.
    ours: bool = False
    folder: Path = ROOT
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def scales(self) -> bool:
        """True if the number of worker processes can be chosen."""
        return "$WORKERS" in self.workers

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of its commands: the benchmark's variables, then the target's own."""
        return {**given, **{name: Template(value).substitute(given) for name, value in self.env.items()}}


def command(text: str, environ: Mapping[str, str]) -> list[str]:
    """Return the words of a command. No shell is used, so that signals reach the program itself."""
    return [Template(word).substitute(environ) for word in shlex.split(text)]


def read(path: Path) -> Target:
    """Read a target file. Its `folder` is relative to the file."""
    told = json.loads(path.read_text())
    told["folder"] = path.resolve().parent / told.get("folder", ".")
    return Target(**told)


def ours(threads: int) -> Target:
    """Return the description of this project with its default settings: logs, upkeep and all guarantees."""
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


def signing(threads: int) -> Target:
    """Return this project with a domain whose mails it signs with DKIM."""
    plain = ours(threads)
    return replace(
        plain,
        name=f"{plain.name} with DKIM",
        prepare=f"{shlex.quote(sys.executable)} -m benchmarks.signing",
        env={**plain.env, "DOMAIN_KEYS_SECRET": "benchmark" * 4},
    )
