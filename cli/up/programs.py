"""Child programs of `notify up` that are parts of this system: migrations, API and worker."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

import settings
from cli.servers.program import Program, StopRequests
from cli.up import address, api
from settings import Settings

THREADS = 8
MARGIN = 10.0  # seconds after SHUTDOWN_GRACE, by which every part should have ended


class Part(Program):
    """Program that runs in the project's directory with the environment of `up`, and logs to the same output."""

    def __init__(self, chosen: Settings, environ: Mapping[str, str], stop_requests: StopRequests) -> None:
        super().__init__(stop_requests)
        self._chosen = chosen
        self._environ = environ
        self.grace = chosen.process.shutdown_grace + MARGIN

    def environment(self) -> Mapping[str, str]:
        """Return the environment that `up` made, with the addresses of its servers."""
        return self._environ

    def directory(self) -> Path:
        """Return the directory of the code, because the current one may hold modules with the same names."""
        return Path(settings.__file__).parent.parent


class Migration(Part):
    """`notify migrate --after`: no older version can run on the data. It is ready when it has ended."""

    name = "migrate"
    start_within = 600.0

    def command(self) -> list[str]:
        """Return the command that users run too."""
        return [sys.executable, "-m", "cli.main", "migrate", "--after"]

    def ready(self) -> bool:
        """Return whether it has ended without an error."""
        return self._child is not None and self._child.poll() == 0


class Api(Part):
    """API, in gunicorn."""

    name = "api"

    def command(self) -> list[str]:
        """Return the command; gunicorn.conf.py has the options."""
        return [sys.executable, "-m", "gunicorn", "--config", str(api.configuration())]

    def ready(self) -> bool:
        """Return whether it answers requests."""
        return self.ask_for("/healthz")[0] == HTTPStatus.OK

    def ask_for(self, path: str) -> tuple[int, str]:
        """GET a path and return status and body. Without an answer the status is 0 and the body the reason."""
        host, port = self._chosen.http.address
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
    """Dramatiq, with one worker process."""

    name = "worker"

    def command(self) -> list[str]:
        """Return the command that users run too, with a shutdown timeout that fits the grace period."""
        milliseconds = str(int(self._chosen.process.shutdown_grace * 1000))
        options = ["-p", "1", "-t", str(THREADS), "--worker-shutdown-timeout", milliseconds]
        return [sys.executable, "-m", "dramatiq", "actors", *options]
