"""Conversation with an IMAP server, in which the folder of a mailbox is open."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from imapclient import IMAPClient, SocketTimeout
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError, LoginError

from cli.bounces.mailbox import Mailbox
from cli.bounces.stop import Stop
from db.incoming_reports import LONGEST

TIMEOUT = SocketTimeout(connect=10, read=30)  # seconds
# Seconds between two looks: at a server that has no IDLE, at one that told of a message just before IDLE began, and to
# notice that the connection is gone.
EVERY = 30.0
NEEDED = "UIDPLUS"  # EXPUNGE of these messages only (RFC 4315)


class Rejected(Exception):
    """The server refuses the account, the folder or our trust: people must change something. The message says what."""


class ImapSession:
    """Connection that has logged in. Messages are named by their UIDs in the folder."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        try:
            self._client = IMAPClient(
                mailbox.host, mailbox.port, ssl=not mailbox.starttls, ssl_context=mailbox.tls, timeout=TIMEOUT
            )
        except ssl.SSLCertVerificationError as error:
            raise _untrusted(error) from None

    def __enter__(self) -> Self:
        try:
            self.validity = self._open()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        # Without an orderly end after an error: a broken connection would make us wait for an answer.
        if error is None:
            self._client.__exit__(None, None, None)
        else:
            self._close()

    def uids(self) -> list[int]:
        """Return all messages, also those that are marked as deleted: a session that ended early may have done so."""
        self._client.noop()
        return sorted(self._client.search("ALL"))

    def sizes(self, uids: Sequence[int]) -> dict[int, int]:
        """Return the octets of each message that is still there."""
        found = self._client.fetch(uids, ["RFC822.SIZE"])
        return {uid: int(fields[b"RFC822.SIZE"]) for uid, fields in found.items() if b"RFC822.SIZE" in fields}

    def beginning(self, uid: int) -> bytes | None:
        """Return the first LONGEST octets of a message, or None if it is gone."""
        fields = self._client.fetch([uid], [f"BODY.PEEK[]<0.{LONGEST}>"]).get(uid, {})
        return bytes(fields[b"BODY[]<0>"] or b"") if b"BODY[]<0>" in fields else None

    def remove(self, uids: Sequence[int]) -> None:
        """Delete messages, or move them to the folder for those that were stored."""
        if self._mailbox.move_to:
            self._client.move(uids, self._mailbox.move_to)
        else:
            self._client.delete_messages(uids, silent=True)
            self._client.uid_expunge(uids)

    def wait(self, stop: Stop) -> None:
        """Wait for a change in the folder, for at most EVERY seconds, or for the order to stop."""
        if not self._client.has_capability("IDLE"):
            stop.wait(EVERY)
            return
        self._client.idle()
        stop.wait(EVERY, self._client.socket())
        self._client.idle_done()

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            self._client.shutdown()

    def _open(self) -> int:
        mailbox = self._mailbox
        if mailbox.starttls:
            try:
                self._client.starttls(mailbox.tls)
            except ssl.SSLCertVerificationError as error:
                raise _untrusted(error) from None
        self._log_in()
        needed = [NEEDED, *(["MOVE"] if mailbox.move_to else [])]
        if lacking := [name for name in needed if not self._client.has_capability(name)]:
            raise Rejected(f"the IMAP server lacks {' and '.join(lacking)}, without which messages cannot be removed")
        try:
            if mailbox.move_to and not self._client.folder_exists(mailbox.move_to):
                self._client.create_folder(mailbox.move_to)
            opened = self._client.select_folder(mailbox.folder)
        except IMAPClientAbortError:
            raise
        except IMAPClientError as error:
            raise Rejected(f"the IMAP server does not open the folder of --imap or --move-to: {error}") from None
        if b"READ-WRITE" not in opened:
            raise Rejected("the folder of --imap can only be read: give one from which messages can be removed")
        return int(opened[b"UIDVALIDITY"])

    def _log_in(self) -> None:
        try:
            self._client.plain_login(self._mailbox.user, self._mailbox.password)
        except LoginError as error:
            told = str(error).replace(self._mailbox.password, "***")
            # RFC 5530: the server cannot tell at the moment.
            if isinstance(error.__context__, IMAPClientAbortError) or "[UNAVAILABLE]" in told:
                raise IMAPClientError(told) from None
            raise Rejected(
                f"the IMAP server refuses the login ({told}): see the user in --imap, and the password"
            ) from None


def _untrusted(error: ssl.SSLCertVerificationError) -> Rejected:
    return Rejected(
        f"the certificate of the IMAP server is not trusted ({error.verify_message}): give the name that it is for in "
        "--imap, or ?ca=FILE with the certificate of its authority"
    )
