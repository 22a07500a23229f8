"""Valkey (or Redis) of `notify up`: a Unix socket, an append-only file, no TCP port."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

from cli.servers import leftover, locate
from cli.servers.program import Program, StopRequests

SOCKET = "valkey.sock"


def url_of_another(runtime_dir: Path) -> str | None:
    """Return the value of REDIS_URL for the server whose socket is in `runtime_dir`; None if none listens."""
    place = runtime_dir / SOCKET
    return _url(place) if place.exists() else None


def _url(place: Path) -> str:
    return f"unix://{place}?db=0"


class Valkey(Program):
    """Valkey with its data in `data_dir`/valkey and its socket in `runtime_dir`, a short path closed to others."""

    name = "valkey"
    on_death = signal.SIGINT  # Valkey then closes its append-only file.
    start_within = 30.0
    grace = 10.0
    hurried_grace = 5.0

    def __init__(
        self,
        data_dir: Path,
        runtime_dir: Path,
        *,
        stop_requests: StopRequests | None = None,
        log: Path | None = None,
    ) -> None:
        super().__init__(stop_requests, log or runtime_dir / "valkey.log")
        self._data = data_dir.absolute() / "valkey"
        self._runtime = runtime_dir.absolute()
        self._socket = self._runtime / SOCKET
        self._pidfile = self._data / "valkey.pid"

    @property
    def url(self) -> str:
        """Value for REDIS_URL."""
        return _url(self._socket)

    def prepare(self) -> None:
        """Make the directories and end an orphaned server: two servers would write to the same append-only file."""
        self._runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        leftover.clear(self._pidfile, self._data, self.stop_requests)
        self._socket.unlink(missing_ok=True)

    def command(self) -> list[str]:
        """Return the command with every setting, so that no configuration file can be out of date."""
        return [str(locate.valkey()), *_words(self._settings())]

    def ready(self) -> bool:
        """Return whether it answers PING with PONG; while it loads its data it answers LOADING."""
        try:
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(1)
                line.connect(str(self._socket))
                line.sendall(b"PING\r\n")
                return line.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def _settings(self) -> dict[str, str]:
        return {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._data),
            "pidfile": str(self._pidfile),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }


def _words(settings: dict[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in (f"--{name}", value)]
