"""The parts of the system itself, as child programs: migrations, API, workers."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

import settings
from cli.servers.program import Patience, Program
from cli.up import address, api
from settings import Settings

THREADS = 8
# Seconds on top of SHUTDOWN_GRACE, in which each part ends by itself.
MARGIN = 10.0


class Part(Program):
    """Runs in the project's directory, on the environment that `up` made; its log lines go to ours."""

    def __init__(self, chosen: Settings, environ: Mapping[str, str], patience: Patience) -> None:
        super().__init__(patience)
        self._chosen = chosen
        self._environ = environ
        self.grace = chosen.shutdown_grace + MARGIN

    def environment(self) -> Mapping[str, str]:
        """With the addresses of the servers."""
        return self._environ

    def directory(self) -> Path:
        """Where the code is; the current directory may hold modules of the same names."""
        return Path(settings.__file__).parents[1]


class Migration(Part):
    """`notify migrate --after`, since nothing else runs on our data; ready is done."""

    name = "migrate"
    start_within = 600.0

    def command(self) -> list[str]:
        """The same command that people run."""
        return [sys.executable, "-m", "cli.main", "migrate", "--after"]

    def ready(self) -> bool:
        """Whether it has ended well."""
        return self._child is not None and self._child.poll() == 0


class Api(Part):
    """gunicorn."""

    name = "api"

    def command(self) -> list[str]:
        """gunicorn.conf.py says the rest."""
        return [sys.executable, "-m", "gunicorn", "--config", str(api.configuration())]

    def ready(self) -> bool:
        """Whether it answers."""
        return self.ask_for("/healthz")[0] == HTTPStatus.OK

    def ask_for(self, path: str) -> tuple[int, str]:
        """GET a path: status and body; status 0 where nobody answers, and why."""
        host, port = self._chosen.address
        connection = http.client.HTTPConnection(address.reachable(host), port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error)
        finally:
            connection.close()


class Worker(Part):
    """One Dramatiq master with one process of work."""

    name = "worker"

    def command(self) -> list[str]:
        """As people run it to scale, with a shutdown that fits our grace."""
        milliseconds = str(int(self._chosen.shutdown_grace * 1000))
        options = ["-p", "1", "-t", str(THREADS), "--worker-shutdown-timeout", milliseconds]
        return [sys.executable, "-m", "dramatiq", "actors", *options]
