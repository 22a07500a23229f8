"""Settings of reports about mails: bounces, complaints and receipts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from settings.group import Group, secret, text
from settings.hosts import is_domain_name
from settings.public import SHORTEST_SECRET


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings(Group):
    """Read by the workers, which send mails and read reports, and by `notify bounces`."""

    imap_password: str = secret("IMAP_PASSWORD")
    """The password of the mailbox that `notify bounces --imap` reads."""
    secret: str = secret("REPORT_SECRET")
    """The secret that signs the tokens of reports; several are separated by commas: the first one signs, and all are
    accepted. The default is a random one in the database."""
    return_path_domain: str = text("RETURN_PATH_DOMAIN")
    """The domain of the return path of mails, such as `bounces.example.com`; its mail must reach `notify bounces`."""

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """The secrets of REPORT_SECRET, in order."""
        return tuple(one.strip().encode() for one in self.secret.split(",") if one.strip())

    def faults(self) -> Iterator[str]:
        if any(len(one) < SHORTEST_SECRET for one in self.secrets):
            yield (
                f"REPORT_SECRET has a secret of less than {SHORTEST_SECRET} characters: make each with "
                "`openssl rand -hex 32`, and separate several by commas"
            )
        if self.return_path_domain and not (is_domain_name(self.return_path_domain) and "." in self.return_path_domain):
            yield f"RETURN_PATH_DOMAIN is {self.return_path_domain!r}: give a domain such as bounces.example.com"
