"""Port of the local providers of `notify up`. It stays the same from run to run, because destinations in the database
contain it."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

from cli.up.local_server import HOST


def last(path: Path) -> int:
    """Return the port of the last run; 0 if there is none, or something else uses it."""
    with suppress(OSError, ValueError, OverflowError):
        port = int(path.read_text())
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
        return port
    return 0


def keep(path: Path, port: int) -> None:
    """Keep the port for the next run."""
    path.write_text(str(port))
