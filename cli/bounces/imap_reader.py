"""Reader of the mailbox of `notify bounces --imap`: stores each message, and then removes it."""

from __future__ import annotations

import logging
import random

from imapclient.exceptions import IMAPClientError

from cli.bounces import LARGEST
from cli.bounces.imap_session import ImapSession, Rejected
from cli.bounces.mailbox import Mailbox
from cli.bounces.stop import Stop
from cli.servers import StartError
from db import mailbox_reports
from db.database import Unacceptable, Unavailable, connection, database
from runtime import logs

log = logs.get("bounces")

AT_ONCE = 20  # messages that are removed by one command
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds until a connection is tried again


def serve(mailbox: Mailbox) -> None:
    """Read reports from a mailbox until SIGTERM or SIGINT. Raises StartError."""
    # It tells of each connection that it closes.
    logging.getLogger("imapclient").setLevel(logging.WARNING)
    stop = Stop()
    stop.listen()
    ImapReader(mailbox, stop).run()
    log.info("bounces.stopped")


class ImapReader:
    """Reader of one mailbox, in this thread.

    A message is removed after the commit. If we die in between, it is found again, and its digest shows that it is
    stored. So several readers may read the same mailbox.
    """

    def __init__(self, mailbox: Mailbox, stop: Stop) -> None:
        self._mailbox, self._stop = mailbox, stop
        self._failures = 0  # in a row
        self._opened = False
        # Messages that cannot be stored: UIDVALIDITY and UID.
        self._left: set[tuple[int, int]] = set()

    def run(self) -> None:
        """Read until the order to stop; connect again after each failure. Raises StartError."""
        while not self._stop.asked:
            try:
                self._turn()
            except Rejected as error:
                # Later it may be a passing fault of the server, such as one of what keeps its accounts.
                if not self._opened:
                    raise StartError(f"Cannot read the mailbox: {error}") from None
                self._pause("imap.failed", error)
            except Unavailable as error:
                self._pause("report.not_stored", error)
            except (OSError, IMAPClientError) as error:
                self._pause("imap.failed", error)
            except Exception:
                # What the server sent may be wrong in a way that nobody foresaw.
                log.exception("bounces.failed")
                self._pause()
        database.close()

    def _turn(self) -> None:
        with ImapSession(self._mailbox) as session:
            where = self._mailbox
            log.info("imap.connected", host=where.host, port=where.port, folder=where.folder)
            self._opened = True
            while not self._stop.asked:
                self._empty(session)
                self._failures = 0
                if not self._stop.asked:
                    session.wait(self._stop)

    def _pause(self, event: str = "", error: Exception | None = None) -> None:
        pause = min(FIRST_PAUSE * 2**self._failures, LONGEST_PAUSE) * random.uniform(0.5, 1)  # noqa: S311 - no secret
        self._failures = min(self._failures + 1, 10)
        if event:
            log.warning(event, error=f"{type(error).__name__}: {error}", again_in=round(pause, 1))
        self._stop.wait(pause)

    def _empty(self, session: ImapSession) -> None:
        """Store and remove all messages that can be stored."""
        there = session.uids()
        self._left &= {(session.validity, uid) for uid in there}
        new = [uid for uid in there if (session.validity, uid) not in self._left]
        for first in range(0, len(new), AT_ONCE):
            stored = []
            for uid, size in session.sizes(new[first : first + AT_ONCE]).items():
                if self._stop.asked:
                    break
                if self._store(session, uid, size):
                    stored.append(uid)
            if stored:
                session.remove(stored)
            if self._stop.asked:
                break

    def _store(self, session: ImapSession, uid: int, size: int) -> bool:
        """Return whether a message is stored. One that cannot be is left, and reported once."""
        if size > LARGEST:
            return self._leave(session, uid, size, f"it has more than {LARGEST} octets")
        raw = session.beginning(uid)
        if raw is None or (size and not raw):  # Another reader is removing it: some servers then send no content.
            return False
        try:
            with connection():
                id = mailbox_reports.store_once(raw)
        except Unacceptable as error:
            return self._leave(session, uid, size, str(error))
        if id is None:
            log.info("report.known", uid=uid, size=size)
        else:
            log.info("report.stored", report=id, source=mailbox_reports.SOURCE, size=size)
        return True

    def _leave(self, session: ImapSession, uid: int, size: int, reason: str) -> bool:
        self._left.add((session.validity, uid))
        log.warning("report.left", uid=uid, size=size, reason=reason)
        return False
