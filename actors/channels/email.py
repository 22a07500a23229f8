"""The mail channel: each thread, or its double in the hub, keeps a connection and reuses it from mail to mail."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar

from actors import hub
from actors.channels import Deferred, ProviderDown, Receipt, Refused, Uncertain, Undelivered, printable
from actors.channels.answers import Reply
from actors.channels.mail import Mail, compose
from actors.channels.refusals import judge
from actors.channels.replies import Stop
from actors.channels.smtp import Connection, Dropped
from actors.channels.unsubscribing import url
from db.records import Claimed
from mailboxes import mail_from
from settings import Settings

LAST_ANSWER = 540.0  # seconds after a stop; Dramatiq gives its threads ten minutes, of which some are for the record


class _Kept:
    """From mail to mail. `introduced`: whom the other side was told of already."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.introduced: tuple[Claimed, Mail] | None = None


class Email:
    """Sends to SMTP_URL; every error is classified by phase and code, never by guess."""

    def __init__(self, settings: Settings) -> None:
        server = settings.smtp
        self.provider = f"{server.host}:{server.port}"
        self._settings = settings
        self._sender = mail_from(settings.sender)
        self._stop = Stop()
        self._kept: ContextVar[_Kept | None] = ContextVar("kept", default=None)

    def send(
        self,
        notification: Claimed,
        begin: Callable[[], bool] = lambda: True,
        contents: Sequence[bytes] = (),
        following: Claimed | None = None,
    ) -> Receipt:
        kept = self._mine()
        mail = self._mail(kept, notification, contents)
        # Our own sender refused: no notification is to blame. One that a client chose must not open the
        # breaker for all the others.
        blamed = ProviderDown if mail.sender == self._sender.address else Refused
        limit = time.monotonic() + self._settings.smtp_limit
        while True:
            connection = self._connection(kept, mail, limit)
            try:
                _invite(connection, mail, begin, blamed)
                reply = connection.content(mail.content, self._follower(kept, connection, following))
                _expect(connection, "content", reply, 2, blamed)
                return Receipt("content", reply.code, reply.enhanced_code, reply.text)
            except Dropped as drop:
                connection.close()
                # The server may hang up on a connection that idled; this mail has nothing to do with it
                # and goes over a new one, of which that cannot be said again.
                if not (connection.reused and drop.phase == "mail"):
                    raise _undelivered(drop) from None

    def hang_up(self) -> None:
        kept = self._mine()
        if kept.connection is not None:
            kept.connection.quit()
            kept.connection = None

    def _mine(self) -> _Kept:
        kept = self._kept.get()
        if kept is None:
            self._kept.set(kept := _Kept())
        return kept

    def _mail(self, kept: _Kept, notification: Claimed, contents: Sequence[bytes]) -> Mail:
        if kept.introduced is not None and kept.introduced[0] is notification:
            return kept.introduced[1]
        if contents:  # It takes its time.
            return hub.outside(lambda: self._composed(notification, contents))
        return self._composed(notification)

    def _composed(self, notification: Claimed, contents: Sequence[bytes] = ()) -> Mail:
        leave = url(notification.id, self._settings) if notification.mail else None
        return compose(notification, self._sender, contents, leave)

    def _follower(self, kept: _Kept, connection: Connection, following: Claimed | None) -> Mail | None:
        """What can be said of the next mail already. Whatever is wrong with it, it is told when it is sent itself."""
        kept.introduced = None
        if following is None or not connection.may_go_on():
            return None
        try:
            mail = self._composed(following)
            _check(connection, mail)
        except Exception:  # noqa: BLE001 - of whatever kind
            return None
        kept.introduced = following, mail
        return mail

    def stop(self) -> None:
        """The process stops: give up after SHUTDOWN_GRACE what is not out. What is out waits for its answer."""
        now = time.monotonic()
        self._stop.sending, self._stop.answers = now + self._settings.shutdown_grace, now + LAST_ANSWER

    def _connection(self, kept: _Kept, mail: Mail, limit: float) -> Connection:
        connection = kept.connection
        if connection is not None:
            connection.end_by(limit)
        if connection is not None and connection.introduced is not None:
            if connection.introduced is mail:
                return connection
            connection.close()  # Another mail was introduced, and not sent.
        if connection is None or not connection.usable():
            self.hang_up()
            connection = kept.connection = self._open(limit)
        return connection

    def _open(self, limit: float) -> Connection:
        return hub.outside(lambda: Connection.open(self._settings, self._stop, limit))


def _invite(
    connection: Connection, mail: Mail, begin: Callable[[], bool], blamed: type[Undelivered] = ProviderDown
) -> None:
    """All that comes before the content."""
    if connection.introduced is None:
        _check(connection, mail, blamed)
        connection.introduce(mail)
    hello = connection.mail(mail)
    if hello.code == 421 and connection.reused:
        raise Dropped("mail", hello.text)
    _expect(connection, "mail", hello, 2, blamed)
    for recipient in mail.recipients:
        reply = connection.rcpt(recipient)
        if len(mail.recipients) > 1 and reply.code >= 400 and judge("rcpt", reply, blamed) is not ProviderDown:
            reply = reply._replace(text=printable(f"{recipient}: {reply.text}"))
        # One that is refused ends it for all, so that no other one ever gets it twice.
        _expect(connection, "rcpt", reply, 2, blamed)
    if not begin():
        connection.close()
        raise Deferred("another worker has taken this over", phase="data")
    _expect(connection, "data", connection.data(), 3, blamed)


def _check(connection: Connection, mail: Mail, blamed: type[Undelivered] = ProviderDown) -> None:
    """Refuse what this server says it cannot take, before it has cost a transfer."""
    if mail.utf8 and not connection.offers("smtputf8"):
        told = [address for address in (mail.sender, *mail.recipients) if not address.isascii()] or ["an address"]
        kind = Refused if mail.sender.isascii() else blamed
        raise kind(printable(f"{told[0]} needs SMTPUTF8, which the mail server does not offer"), phase="mail")
    if len(mail.content) > connection.most:
        text = f"the mail has {len(mail.content)} octets, the mail server takes at most {connection.most}"
        raise Refused(text, phase="mail")


def _expect(
    connection: Connection, phase: str, reply: Reply, kind: int, blamed: type[Undelivered] = ProviderDown
) -> None:
    """Judge a reply by its first digit: that decides also where the code is not one we know (RFC 5321, 4.2.1)."""
    if reply.code // 100 == kind:
        return
    if reply.code < 400:  # Neither yes nor no to what we said.
        raise Dropped(phase, reply.text, content_sent=phase == "content")
    if reply.code == 421:  # The server is about to hang up (RFC 5321, 3.8).
        connection.close()
    elif phase != "content":  # After which a server has forgotten the mail (RFC 5321, 4.1.1.4).
        connection.reset()
    raise judge(phase, reply, blamed)(reply.text, phase=phase, reply_code=reply.code, enhanced_code=reply.enhanced_code)


def _undelivered(drop: Dropped) -> Undelivered:
    return (Uncertain if drop.content_sent else Deferred)(drop.text, phase=drop.phase)
