"""nginx as the distribution ships it, in front of the API."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from tests.eventually import eventually
from tests.processes import Group
from tests.servers.programs import program
from tests.system import free_port

# What Debian's nginx.conf says, but for the places of files.
CONF = """
{user}
daemon off;
worker_processes 2;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 768; }}
http {{
    sendfile on;
    tcp_nopush on;
    types_hash_max_size 2048;
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    gzip on;
    access_log {directory}/access.log;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    {outside}
    server {{
        listen 127.0.0.1:{port};
        {server}
    }}
}}
"""


class StockNginx:
    """An nginx on loopback that keeps its files in `directory`.

    `server` goes into its server block, `outside` beside that.
    """

    def __init__(self, directory: Path, server: str, outside: str = "") -> None:
        self.directory, self.port = directory, free_port()
        user = "user root;" if os.geteuid() == 0 else ""
        conf = CONF.format(user=user, directory=directory, port=self.port, server=server, outside=outside)
        (directory / "nginx.conf").write_text(conf)
        self._group: Group | None = None

    def start(self) -> None:
        """Run it, and return when it listens."""
        command = [program("nginx", "nginx"), "-c", str(self.directory / "nginx.conf"), "-p", str(self.directory)]
        log = self.directory / "nginx.log"
        self._group = Group(command, {"PATH": os.environ["PATH"]}, log, self.directory)
        eventually(self._listens, saying=log.read_text)

    def stop(self) -> None:
        """Stop it."""
        if self._group:
            self._group.stop()
            self._group = None

    @property
    def errors(self) -> str:
        """The text of its error log."""
        return (self.directory / "error.log").read_text()

    @property
    def statuses(self) -> list[int]:
        """The status of each answer that its access log tells of."""
        lines = (self.directory / "access.log").read_text().splitlines()
        return [int(line.rpartition('" "')[0].rpartition('" "')[0].rpartition('" ')[2].split()[0]) for line in lines]

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
