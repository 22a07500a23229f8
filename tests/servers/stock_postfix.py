"""Postfix as the distribution ships it, in an instance of its own that keeps the mail of example.com in a Maildir."""

from __future__ import annotations

import email
import os
import pwd
import shutil
import smtplib
import subprocess
from collections import Counter
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from tests.eventually import eventually
from tests.processes import Group
from tests.servers.programs import program
from tests.system import free_port

DAEMONS = Path("/usr/lib/postfix/sbin")
UNKNOWN = "nobody@example.com"  # the one recipient of example.com that it does not have
# Beside what says where it is: default settings.
MAIN = """compatibility_level = 3.6
command_directory = {commands}
daemon_directory = {daemons}
queue_directory = {directory}/spool
data_directory = {directory}/data
maillog_file = {directory}/mail.log
maillog_file_prefixes = {directory}
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = mail.example.net
mydestination =
alias_maps =
virtual_mailbox_domains = example.com
virtual_mailbox_base = {directory}/boxes
virtual_mailbox_maps = regexp:{directory}/etc/boxes
virtual_minimum_uid = 1
virtual_uid_maps = static:{user.pw_uid}
virtual_gid_maps = static:{user.pw_gid}
"""
# Its own master.cf without what listens elsewhere or needs a chroot, and with a second port.
MASTER = """127.0.0.1:{port} inet n - n - - smtpd
127.0.0.1:{plain_port} inet n - n - - smtpd -o smtputf8_enable=no
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class StockPostfix:
    """A Postfix in `directory`, which its user can enter. Only root can run one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port, self.plain_port = free_port(), free_port()
        self._group: Group | None = None
        self._make()

    @property
    def url(self) -> str:
        """SMTP_URL of a port that has SMTPUTF8."""
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def plain_url(self) -> str:
        """SMTP_URL of a port that has not."""
        return f"smtp://127.0.0.1:{self.plain_port}"

    @property
    def log(self) -> str:
        """The text of its logs."""
        logs = [self.directory / name for name in ("mail.log", "postfix.log")]
        return "\n".join(log.read_text(errors="replace") for log in logs if log.exists())

    def start(self) -> None:
        """Run it, and return when both of its ports answer."""
        environ = {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
        check = [program("postfix", "postfix"), "-c", str(self.directory / "etc"), "check"]
        done = subprocess.run(check, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        # Not by `postfix start-fg`: there the master has another process group than what was started.
        command = [str(DAEMONS / "master"), "-c", str(self.directory / "etc")]
        self._group = Group(command, environ, self.directory / "postfix.log", self.directory)
        eventually(self._answers, within=30, saying=lambda: self.log)

    def kill(self) -> None:
        """SIGKILL all of it; what is in its queue stays."""
        if self._group:
            self._group.kill()
            self._group = None

    def add(self, settings: str) -> None:
        """Add lines to its main.cf, which it reads when it starts or reloads."""
        with (self.directory / "etc" / "main.cf").open("a") as main:
            main.write(f"{settings}\n")

    def set(self, settings: str) -> None:
        """Add lines to its main.cf, and have it read them."""
        self.add(settings)
        self.reload()

    def reload(self) -> None:
        """Have it read its settings, by new processes."""
        environ = {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
        reload = [program("postfix", "postfix"), "-c", str(self.directory / "etc"), "reload"]
        # Without pipes: what it leaves in the background would hold them open.
        quiet = subprocess.DEVNULL
        subprocess.run(reload, env=environ, stdout=quiet, stderr=quiet, check=True, timeout=240)

    def mails(self, recipient: str) -> list[EmailMessage]:
        """The mails that it has delivered to this recipient."""
        return [mail for mail in self._delivered() if mail["X-Original-To"] == recipient]

    def copies(self) -> Counter[str]:
        """Return the number of mails that it has delivered to each recipient."""
        return Counter(str(mail["X-Original-To"]) for mail in self._delivered())

    def _delivered(self) -> list[EmailMessage]:
        boxes = (self.directory / "boxes").glob("inbox/new/*")
        return [email.message_from_bytes(path.read_bytes(), policy=default) for path in boxes]

    def _answers(self) -> bool:
        try:
            for port in (self.port, self.plain_port):
                with smtplib.SMTP("127.0.0.1", port) as session:
                    session.noop()
        except OSError:
            return False
        return True

    def _make(self) -> None:
        user = pwd.getpwnam("postfix")
        for name, owner in (("etc", 0), ("spool", 0), ("data", user.pw_uid), ("boxes", user.pw_uid)):
            (self.directory / name).mkdir(mode=0o755)
            (self.directory / name).chmod(0o755)
            os.chown(self.directory / name, owner, -1)
        commands = Path(program("postfix", "postfix")).parent
        etc = self.directory / "etc"
        main = MAIN.format(directory=self.directory, user=user, commands=commands, daemons=DAEMONS)
        (etc / "main.cf").write_text(main)
        (etc / "master.cf").write_text(MASTER.format(port=self.port, plain_port=self.plain_port))
        (etc / "boxes").write_text(f"!/^{UNKNOWN}$/ inbox/\n")
        for file in etc.iterdir():
            file.chmod(0o644)
        # The lists of files by which it checks its installation.
        for name in ("postfix-files", "postfix-files.d", "dynamicmaps.cf", "dynamicmaps.cf.d"):
            source = Path("/etc/postfix") / name
            if source.is_dir():
                shutil.copytree(source, etc / name)
            elif source.exists():
                shutil.copy(source, etc)
