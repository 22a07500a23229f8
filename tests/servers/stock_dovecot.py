"""A Dovecot as the distribution ships it, whose mailboxes anybody may open who knows its password."""

from __future__ import annotations

import grp
import os
import pwd
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme
from imapclient import IMAPClient

from tests.eventually import eventually
from tests.processes import Group
from tests.servers.programs import program
from tests.system import free_port

PASSWORD = 'päss word\\"1'
# Without root its processes have the user of the test, and cannot be confined by chroot.
SETTINGS = """base_dir = {directory}/run
state_dir = {directory}/run
log_path = {directory}/dovecot.log
listen = 127.0.0.1
protocols = imap
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
ssl = required
ssl_cert = <{directory}/certificate.pem
ssl_key = <{directory}/key.pem
mail_location = maildir:{directory}/mail/%u
first_valid_uid = 1
first_valid_gid = 1
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=anybody {directory}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={directory}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {starttls_port}
  }}
  inet_listener imaps {{
    port = {port}
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


class StockDovecot:
    """A Dovecot in `directory`, which its user can enter. `capability`: what it offers, if that is not all it has."""

    def __init__(self, directory: Path, capability: str = "") -> None:
        self.directory, self.ca = directory, directory / "ca.pem"
        self._capability = capability
        self.port, self.starttls_port = free_port(), free_port()
        self._user = pwd.getpwnam("dovecot") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self._group: Group | None = None
        self._make()

    def start(self) -> None:
        """Run it, and return when it answers."""
        command = [program("dovecot", "dovecot-imapd"), "-F", "-c", str(self.directory / "dovecot.conf")]
        user = f"{self._user.pw_uid}:{self._user.pw_gid}"
        out = self.directory / "out.log"
        self._group = Group(command, {"PATH": os.environ["PATH"]}, out, self.directory, user)
        eventually(self._answers, within=30, saying=lambda: self.log)

    def kill(self) -> None:
        """SIGKILL all of it; the mailboxes stay."""
        if self._group:
            self._group.kill()
            self._group = None

    @property
    def log(self) -> str:
        """The text of its logs."""
        logs = (self.directory / name for name in ("out.log", "dovecot.log"))
        return "\n".join(log.read_text(errors="replace") for log in logs if log.exists())

    def url(self, user: str, *, port: int = 0, scheme: str = "imaps") -> str:
        """Return the URL of the mailbox of a user, for --imap."""
        return f"{scheme}://{user}@127.0.0.1:{port or self.port}/INBOX?ca={self.ca}"

    @contextmanager
    def opened(self, user: str, folder: str = "INBOX") -> Iterator[IMAPClient]:
        """A conversation with a folder open."""
        context = ssl.create_default_context(cafile=self.ca)
        with IMAPClient("127.0.0.1", self.port, ssl_context=context, timeout=60) as client:
            client.plain_login(user, PASSWORD)
            client.select_folder(folder)
            yield client

    def put(self, user: str, *messages: bytes) -> None:
        """Deliver messages."""
        with self.opened(user) as client:
            for message in messages:
                client.append("INBOX", message)

    def messages(self, user: str, folder: str = "INBOX") -> list[bytes]:
        """Return the messages in a folder."""
        with self.opened(user, folder) as client:
            found = client.fetch(client.search("ALL"), ["BODY.PEEK[]"])
            return [fields[b"BODY[]"] for _, fields in sorted(found.items())]

    def _answers(self) -> bool:
        try:
            with self.opened("nobody"):
                return True
        except OSError:
            return False

    def _make(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca))
        own = authority.issue_cert("127.0.0.1")
        own.private_key_pem.write_to_path(str(self.directory / "key.pem"))
        for number, part in enumerate(own.cert_chain_pems):
            part.write_to_path(str(self.directory / "certificate.pem"), append=number > 0)
        (self.directory / "users").write_text(f"anybody:{PASSWORD}\n")
        user = self._user
        settings = SETTINGS.format(
            directory=self.directory,
            user=user.pw_name,
            uid=user.pw_uid,
            gid=user.pw_gid,
            group=grp.getgrgid(user.pw_gid).gr_name,
            port=self.port,
            starttls_port=self.starttls_port,
        )
        settings += f"imap_capability = {self._capability}\n" if self._capability else ""
        (self.directory / "dovecot.conf").write_text(settings)
        for name in ("run", "mail"):
            (self.directory / name).mkdir()
        for path in (self.directory, *self.directory.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
