"""What stands for parts of a worker where TRACING is on: a span for each attempt, and for what it is made of.

Each attempt, first or repeated, of this worker or of one that took over from another, is a child of what
accepted the notification. What carries no context begins no trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from opentelemetry import context as current
from opentelemetry.trace import Span, SpanKind, get_current_span

import telemetry
from actors import hub
from actors.channels.answers import Reply
from actors.channels.callback import Callback
from actors.channels.email import Email
from actors.channels.guarded_connector import Begin
from actors.channels.http_client import Answer
from actors.channels.mail import Mail
from actors.channels.smtp import Connection
from actors.delivery import Delays, Delivery
from actors.lanes import LANES
from actors.ledger import Ledger, Wanted
from db import traces
from db.callbacks import Signing
from db.database import connection
from db.models import CALLBACK
from db.records import Attempt, Claimed, Settlement
from settings import SmtpServer

# Attempts that are made and not recorded yet, by notification and claim.
_unrecorded: dict[tuple[int, int], Span] = {}


class TracedDelivery(Delivery):
    """The span of an attempt lasts until it is recorded."""

    def _attempt(self, notification: Claimed, following: Claimed | None, delays: Delays) -> Settlement:
        if notification.trace is None:
            return super()._attempt(notification, following, delays)
        span = _begun(notification, notification.trace)
        try:
            with telemetry.within(span):
                settlement = super()._attempt(notification, following, delays)
        except BaseException as error:
            telemetry.fail(span, type(error).__name__)
            span.end()
            raise
        _describe(span, settlement.attempt)
        _unrecorded[settlement.id, settlement.claim] = span
        return settlement


class TracedLedger(Ledger):
    """One span for each statement."""

    def _claim(self, lists: Sequence[Wanted]) -> list[list[Claimed]]:
        about = telemetry.statement("UPDATE", "notifications", 1)
        carried: list[str | None] = []
        with telemetry.shared("UPDATE notifications", SpanKind.CLIENT, about, carried):
            claimed = [_with_traces(some) for some in super()._claim(lists)]
            carried += [one.trace for some in claimed for one in some]
            about.update(telemetry.statement("UPDATE", "notifications", len(carried)))
        return claimed

    def _settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        spans = [_unrecorded.pop((s.id, s.claim), None) for s in settlements]
        about = telemetry.statement("INSERT", "attempts", len(settlements))
        carried = [telemetry.carried(span) for span in spans if span is not None]
        try:
            with telemetry.shared("INSERT attempts", SpanKind.CLIENT, about, carried):
                return super()._settle(settlements)
        finally:
            for span in filter(None, spans):
                span.end()


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
    """A span for each phase: from what we say, or said ahead, until its answer is there."""

    def mail(self, mail: Mail) -> Reply:
        with self._phase("MAIL") as span:
            return _answered(span, super().mail(mail))

    def rcpt(self, recipient: str) -> Reply:
        with self._phase("RCPT") as span:
            return _answered(span, super().rcpt(recipient))

    def data(self) -> Reply:
        with self._phase("DATA") as span:
            return _answered(span, super().data())

    def content(self, content: bytes, following: Mail | None = None) -> Reply:
        with self._phase("content") as span:
            span.set_attribute("messaging.message.body.size", len(content))
            return _answered(span, super().content(content, following))

    def _connect(self, server: SmtpServer) -> None:
        with self._phase("connect"):
            super()._connect(server)

    def _hello(self) -> None:
        with self._phase("EHLO"):
            super()._hello()

    def _encrypt(self, server: SmtpServer) -> None:
        if not self.offers("starttls"):
            super()._encrypt(server)
            return
        with self._phase("STARTTLS"):
            super()._encrypt(server)

    def _log_in(self, server: SmtpServer) -> None:
        with self._phase("AUTH"):
            super()._log_in(server)

    @contextmanager
    def _phase(self, name: str) -> Iterator[Span]:
        server = self._settings.smtp
        about: dict[str, str | int] = {
            "server.address": server.host,
            "server.port": server.port,
            "network.protocol.name": "smtp",
        }
        with telemetry.inner(f"SMTP {name}", SpanKind.CLIENT, about) as span:
            yield span


class TracedCallback(Callback):
    """The request carries the context on. Of its URL only the host is told: the rest may be a secret."""

    async def _post(self, notification: Claimed, endpoint: Signing, begin: Begin) -> Answer:
        about: dict[str, str | int] = {"http.request.method": "POST"}
        parts = urlsplit(endpoint.url)
        about |= {"server.address": parts.hostname or "", "server.port": parts.port or _PORTS.get(parts.scheme, 0)}
        with telemetry.inner("POST", SpanKind.CLIENT, about) as span:
            answer = await super()._post(notification, endpoint, begin)
            span.set_attribute("http.response.status_code", answer.status)
            if answer.status >= 400:
                telemetry.fail(span, str(answer.status))
            return answer

    def _headers(self) -> dict[str, str]:
        return super()._headers() | telemetry.headers(get_current_span())


_PORTS = {"http": 80, "https": 443}


def _begun(notification: Claimed, trace: str) -> Span:
    queue = LANES[CALLBACK if notification.type == CALLBACK else "normal"].queue
    about = telemetry.messages("process", queue)
    about |= {
        "messaging.message.id": str(notification.id),
        "notification.type": notification.type,
        "notification.sandbox": notification.sandbox,
        "notification.retry_count": notification.retry_count,
        # Above the number of retries by more than one: it was claimed, and lost or handed back.
        "notification.claim": notification.claim,
    }
    return telemetry.begin(f"process {queue}", SpanKind.CONSUMER, about, telemetry.carrying(trace))


def _describe(span: Span, attempt: Attempt) -> None:
    span.set_attribute("notification.outcome", attempt.outcome)
    if attempt.phase:
        span.set_attribute("notification.phase", attempt.phase)
    if attempt.reply_code:
        span.set_attribute("notification.reply_code", attempt.reply_code)
    if attempt.outcome != "sent":
        telemetry.fail(span, attempt.outcome)


def _answered(span: Span, reply: Reply) -> Reply:
    span.set_attribute("smtp.reply_code", reply.code)
    if reply.code >= 400:
        telemetry.fail(span, str(reply.code))
    return reply


def _with_traces(claimed: Sequence[Claimed]) -> list[Claimed]:
    """Callbacks are written by the database, and belong to the trace of what they tell of."""
    telling = [one.id for one in claimed if one.callback_id is not None]
    if not telling:
        return list(claimed)
    try:
        with connection():
            found = traces.of_subjects(telling)
    except Exception:  # noqa: BLE001 - they are claimed, and go out all the same
        found = {}
    return [one._replace(trace=found.get(one.id, one.trace)) for one in claimed]
