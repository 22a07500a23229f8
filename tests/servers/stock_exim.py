"""An Exim as the distribution ships it, with settings that send each domain to a port of this machine."""

from __future__ import annotations

import os
import pwd
import smtplib
from collections.abc import Mapping
from pathlib import Path

from tests.eventually import eventually
from tests.processes import Group
from tests.servers.programs import program
from tests.system import free_port

# A message is given up at the first retry that is due five seconds after it came.
SETTINGS = """primary_hostname = exim.example.net
exim_path = {program}
spool_directory = {directory}/spool
log_file_path = {directory}/%slog
pid_file_path = {directory}/exim.pid
exim_user = {user}
exim_group = {group}
deliver_drop_privilege = true
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
keep_environment =
acl_smtp_rcpt = accept
dsn_advertise_hosts = *
begin routers
elsewhere:
  driver = manualroute
  route_list = {routes}
  transport = smtp
  self = send
begin transports
smtp:
  driver = smtp
  allow_localhost
  hosts_try_fastopen = :
begin retry
* * F,5s,1s
"""


class StockExim:
    """An Exim in `directory`, which its user can enter."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.port = directory, free_port()
        self._user = pwd.getpwnam("Debian-exim") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self._program = program("exim4", "exim4-daemon-light, or run .ci/install, which keeps Postfix")
        self._group: Group | None = None
        (directory / "spool").mkdir()
        for path in (directory, directory / "spool"):
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    @property
    def url(self) -> str:
        """SMTP_URL of its port."""
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """The text of its logs."""
        return "\n".join(log.read_text(errors="replace") for log in sorted(self.directory.glob("*log")))

    def start(self, routes: Mapping[str, int]) -> None:
        """Run it, and return when it answers. `routes`: the port to which mail for each domain goes.

        It looks into its queue each second.
        """
        self._configure(routes)
        command = [self._program, "-C", str(self.directory / "exim.conf"), "-bdf", "-q1s"]
        user = f"{self._user.pw_uid}:{self._user.pw_gid}"
        out = self.directory / "out.log"
        self._group = Group(command, {"PATH": os.environ["PATH"]}, out, self.directory, user)
        eventually(self._answers, within=30, saying=lambda: self.log)

    def kill(self) -> None:
        """SIGKILL all of it."""
        if self._group:
            self._group.kill()
            self._group = None

    def _answers(self) -> bool:
        try:
            with smtplib.SMTP("127.0.0.1", self.port) as session:
                session.noop()
        except OSError:
            return False
        return True

    def _configure(self, routes: Mapping[str, int]) -> None:
        text = SETTINGS.format(
            program=self._program,
            directory=self.directory,
            user=self._user.pw_uid,
            group=self._user.pw_gid,
            port=self.port,
            routes=" ; ".join(f"{domain} 127.0.0.1::{port}" for domain, port in routes.items()),
        )
        file = self.directory / "exim.conf"
        file.write_text(text)
        file.chmod(0o644)
