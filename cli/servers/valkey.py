"""A Valkey of our own (or a Redis): a unix socket, an append-only file, no port."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

from cli.servers import leftover, locate
from cli.servers.program import Patience, Program

SOCKET = "valkey.sock"


def url_of_another(runtime_dir: Path) -> str | None:
    """For REDIS_URL: the server that another process runs with this directory; None where none listens there."""
    place = runtime_dir / SOCKET
    return _url(place) if place.exists() else None


def _url(place: Path) -> str:
    return f"unix://{place}?db=0"


class Valkey(Program):
    """Keeps its data in `data_dir`/valkey and listens in `runtime_dir`, which must be short and private."""

    name = "valkey"
    on_death = signal.SIGINT  # it closes its append-only file
    start_within = 30.0
    grace = 10.0
    hurried_grace = 5.0

    def __init__(
        self,
        data_dir: Path,
        runtime_dir: Path,
        *,
        patience: Patience | None = None,
        log: Path | None = None,
    ) -> None:
        super().__init__(patience, log or runtime_dir / "valkey.log")
        self._data = data_dir.absolute() / "valkey"
        self._runtime = runtime_dir.absolute()
        self._socket = self._runtime / SOCKET
        self._pidfile = self._data / "valkey.pid"

    @property
    def url(self) -> str:
        """For REDIS_URL."""
        return _url(self._socket)

    def prepare(self) -> None:
        """Nobody else may write the append-only file: two servers on one directory both stay alive."""
        self._runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        leftover.clear(self._pidfile, self._data, self.patience)
        self._socket.unlink(missing_ok=True)

    def command(self) -> list[str]:
        """Every setting on the command line; no file to go stale."""
        return [str(locate.valkey()), *_words(self._settings())]

    def ready(self) -> bool:
        """Whether it answers PING with PONG; while it loads its data it answers LOADING."""
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
