"""Keys of the tokens in reports: those of REPORT_SECRET, and the installation's own."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from actors.channels.email.identity import Identities
from db import installation
from settings.reports import ReportSettings


class ReportKeys(NamedTuple):
    """Keys: the first signs tokens, and all are accepted. `since`: when the installation's own key was made."""

    keys: tuple[bytes, ...]
    since: datetime

    @classmethod
    def load(cls, settings: ReportSettings) -> ReportKeys:
        """Return the keys. Call within `connection()`."""
        own = installation.report_secret()
        return cls((*settings.secrets, own.key), own.since)

    def identities(self, settings: ReportSettings) -> Identities:
        """Return the maker of the marks in the mails of a worker."""
        return Identities(self.keys, self.since, settings.return_path_domain)
