"""What stands for parts of a worker where TRACING is on, until its spans are made in place: see spans.py."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from opentelemetry import context as current
from opentelemetry.trace import get_current_span

import tracing
from actors import hub, spans
from actors.channels.answers import Reply
from actors.channels.callback import Callback
from actors.channels.email import Email
from actors.channels.mail import Mail
from actors.channels.post import Answer
from actors.channels.smtp import Connection
from actors.delivery import Delays, Delivery
from actors.ledger import Ledger, Wanted
from db.callbacks import Signing
from db.records import Claimed, Settlement
from settings import SmtpServer


class TracedDelivery(Delivery):
    """The span of an attempt lasts until it is recorded."""

    def _attempt(self, notification: Claimed, following: Claimed | None, delays: Delays) -> Settlement:
        with spans.attempt(notification) as span:
            settlement = super()._attempt(notification, following, delays)
            spans.made(span, settlement)
        return settlement


class TracedLedger(Ledger):
    """One span for each statement."""

    def _claim(self, lists: Sequence[Wanted]) -> list[list[Claimed]]:
        began = time.time_ns()
        return spans.claimed(super()._claim(lists), began)

    def _settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        with spans.recording(settlements):
            return super()._settle(settlements)


class TracedEmail(Email):
    """A connection is opened by another thread, for whoever is about to send over it."""

    def _open(self, limit: float) -> Connection:
        sending = current.get_current()

        def opened() -> Connection:
            token = current.attach(sending)
            try:
                return TracedConnection.open(self._settings, self._stop, limit)
            finally:
                current.detach(token)

        return hub.outside(opened)


class TracedConnection(Connection):
    """A span for each phase."""

    def mail(self, mail: Mail) -> Reply:
        with spans.smtp("MAIL", self._settings.smtp) as span:
            reply = super().mail(mail)
            spans.replied(span, reply.code)
        return reply

    def rcpt(self, recipient: str) -> Reply:
        with spans.smtp("RCPT", self._settings.smtp) as span:
            reply = super().rcpt(recipient)
            spans.replied(span, reply.code)
        return reply

    def data(self) -> Reply:
        with spans.smtp("DATA", self._settings.smtp) as span:
            reply = super().data()
            spans.replied(span, reply.code)
        return reply

    def content(self, content: bytes, following: Mail | None = None) -> Reply:
        with spans.smtp("content", self._settings.smtp) as span:
            span.set_attribute("messaging.message.body.size", len(content))
            reply = super().content(content, following)
            spans.replied(span, reply.code)
        return reply

    def _connect(self, server: SmtpServer) -> None:
        with spans.smtp("connect", server):
            super()._connect(server)

    def _hello(self) -> None:
        with spans.smtp("EHLO", self._settings.smtp):
            super()._hello()

    def _encrypt(self, server: SmtpServer) -> None:
        if not self.offers("starttls"):
            super()._encrypt(server)
            return
        with spans.smtp("STARTTLS", server):
            super()._encrypt(server)

    def _log_in(self, server: SmtpServer) -> None:
        with spans.smtp("AUTH", server):
            super()._log_in(server)


class TracedCallback(Callback):
    """The request carries the context on."""

    def _post(self, notification: Claimed, endpoint: Signing, begin: Callable[[], bool]) -> Answer:
        with spans.post(endpoint.url) as span:
            answer = super()._post(notification, endpoint, begin)
            spans.responded(span, answer.status)
        return answer

    def _headers(self) -> dict[str, str]:
        return super()._headers() | tracing.headers(get_current_span())
