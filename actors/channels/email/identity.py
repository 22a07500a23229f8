"""Keyed marks of a mail by which a report about it is recognised: its Message-ID, and the token of its return path."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from actors.reports import tokens
from db.records import Claimed

_SIGNATURE = 10  # octets


class Identity(NamedTuple):
    """Marks of one mail, the same in every attempt.

    `mark`: the local part of its Message-ID. `digest`: what its token shows a part of. `domain`: of its return path;
    empty if reports go to its From.
    """

    mark: str
    notification: int
    digest: bytes
    domain: str = ""

    @property
    def token(self) -> str:
        """The token that proves that a report is about it. Most mails need none, so it is made when it is read."""
        return tokens.written(self.notification, self.digest)

    @property
    def return_path(self) -> str:
        """The sender of its envelope; empty if that is its From."""
        return tokens.return_path(self.token, self.domain) if self.domain else ""


class Identities(NamedTuple):
    """Makes the marks of mails.

    `keys`: the first one signs tokens; the last one, the installation's own, signs Message-IDs, because it never
    changes. `since`: notifications of before have Message-IDs without a signature. `domain`: of the return path; empty
    for none.
    """

    keys: tuple[bytes, ...]
    since: datetime
    domain: str = ""

    def through(self, return_path: str) -> Identities:
        """Return the marks for mails through a provider with this option `return_path`; empty: the return path of the
        others."""
        return self._replace(domain="" if return_path == "off" else return_path or self.domain)

    def of(self, notification: Claimed) -> Identity:
        """Return the marks of a notification's mail."""
        digest = tokens.digest(notification.id, self.keys[0])
        mark = unique(notification)
        if notification.created_at >= self.since:
            own = digest if len(self.keys) == 1 else tokens.digest(notification.id, self.keys[-1])
            # Other octets than the token shows: nobody can make a token of a Message-ID.
            mark = f"{mark}.{own[tokens.SHOWN : tokens.SHOWN + _SIGNATURE].hex()}"
        return Identity(mark, notification.id, digest, self.domain)


def unique(notification: Claimed) -> str:
    """Return the unique part of the Message-ID (RFC 5322, section 3.6.4).

    It is the same in every attempt, so that a mail system can drop a second copy. It contains the time of creation, so
    that two installations may send for the same domain.
    """
    return f"{notification.id}.{round(notification.created_at.timestamp() * 1_000_000):x}"


class _Process:
    """Marks of the worker process, which sets them at boot, when it has read its keys."""

    identities: Identities | None = None


of_process = _Process()
