"""Make an attempt: send a notification, and decide what the outcome means for its row."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from dramatiq.common import compute_backoff

from actors import spans
from actors.channels import Deferred, NoConnection, Sender, Throttled, Uncertain, Undelivered
from actors.claim_store import ClaimStore
from actors.retry_policy import RetryPolicy
from db import lifecycle
from db.records import Attempt, Claimed, EvidenceWait, Settlement
from runtime import logs
from settings import Settings

if TYPE_CHECKING:
    from actors.batches import Job

log = logs.get("delivery")

# Phases in which a provider can refuse for now before the content went out.
BEFORE_CONTENT = frozenset({"mail", "rcpt", "data", "rset"})


class TryElsewhere(Exception):
    """The provider has certainly not taken the notification, so another one may send it. No attempt is counted."""

    def __init__(self, attempt: Attempt) -> None:
        super().__init__(attempt.text)
        self.attempt = attempt


class Delays(dict[tuple[str, int], int]):
    """Milliseconds before the next attempt, by type and retry count. Each is drawn once per batch."""

    def __init__(self, current: Settings) -> None:
        super().__init__()
        self._settings = current

    def __missing__(self, key: tuple[str, int]) -> int:
        type, retry_count = key
        policy = RetryPolicy.of(type, self._settings)
        least, most = int(policy.least * 1000), int(policy.most * 1000)
        _, delay = compute_backoff(retry_count, factor=least, max_backoff=most)
        self[key] = delay
        return delay


class Attempts:
    """Makes the attempts of a worker process."""

    def __init__(self, settings: Settings, worker: UUID, claim_store: ClaimStore) -> None:
        self._settings, self._worker, self._claim_store = settings, worker, claim_store

    async def make(  # noqa: PLR0913
        self,
        job: Job,
        provider: str,
        sender: Sender,
        next_notification: Claimed | None = None,
        *,
        patient: bool = True,
        elsewhere: Callable[[Attempt], bool] = lambda _: False,
        evidence_wait: float | None = None,
    ) -> Settlement:
        """Send a notification and return its settlement. `next_notification`: see `Sender.send`.

        If `patient`, a refusal because of our rate counts no attempt until SMTP_THROTTLED_MAX has passed.
        `elsewhere` tells whether another provider can send it, or this one later at no cost. `evidence_wait`: the
        seconds in which evidence may come if there is no answer; None if none can come.

        Raises:
            NoConnection, Throttled: the notification was not sent, for a reason that has nothing to do with it.
            TryElsewhere: the provider has certainly not taken it, and `elsewhere` says that it goes on.
        """
        patient &= job.notification.throttled_for < self._settings.smtp.throttled_max
        with spans.attempt(job.notification) as span:
            attempt, suppress = await self._make(
                job.notification, provider, sender, next_notification, evidence_wait, patient=patient
            )
            if attempt.outcome != "sent" and elsewhere(attempt):
                raise TryElsewhere(attempt)
            settlement = self._judge(job, attempt, suppress, evidence_wait)
            spans.made(span, settlement)
            return settlement

    async def _make(  # noqa: PLR0913
        self,
        notification: Claimed,
        provider: str,
        sender: Sender,
        next_notification: Claimed | None,
        evidence_wait: float | None,
        *,
        patient: bool,
    ) -> tuple[Attempt, int | None]:
        """Return the attempt, and the index of an address to suppress."""
        started, begun = time.monotonic(), False
        wait = None if evidence_wait is None else EvidenceWait(evidence_wait, provider)
        error: Undelivered | None = None

        async def begin() -> bool:
            nonlocal begun
            begun = notification.on_uncertain == "resend" or await self._claim_store.doubt(notification, wait)
            return begun

        try:
            contents = await self._contents(notification) if notification.mail else ()
            receipt = await sender.send(notification, begin, contents, next_notification)
        except NoConnection:
            raise
        except Undelivered as undelivered:
            if isinstance(undelivered, Throttled) and patient:
                raise
            error, receipt = undelivered, undelivered.receipt
        except Exception as bug:
            log.exception("notification.broken", id=notification.id)
            text = f"internal error: {type(bug).__name__}"
            # After `begin`, the whole content may have been sent.
            error = Uncertain(text, phase="content") if begun else Deferred(text, phase="compose")
            receipt = error.receipt
            with contextlib.suppress(Exception):
                await sender.hang_up()  # The state of the conversation is unknown.
        outcome = error.outcome if error else "sent"
        attempt = Attempt(outcome, self._worker, provider, started, time.monotonic(), *receipt)
        return attempt, error.suppress if error else None

    async def _contents(self, notification: Claimed) -> Sequence[bytes]:
        """Return the contents of its attachments."""
        if not (notification.mail and notification.mail.get("attachments")):
            return ()
        contents = await self._claim_store.contents(notification)
        if contents is None:  # While the database was away, another worker took over.
            raise Deferred("another worker has taken this over", phase="compose")
        return contents

    def _judge(self, job: Job, attempt: Attempt, suppress: int | None, evidence_wait: float | None) -> Settlement:
        notification = job.notification
        if attempt.outcome == "sent":
            return lifecycle.sent(notification, attempt)
        if attempt.outcome == "refused" and suppress is not None and not notification.sandbox:
            return lifecycle.bounced(notification, attempt, suppress)
        if attempt.outcome == "refused":
            return lifecycle.failed(notification, attempt, "rejected")
        unknown = attempt.outcome == "uncertain"
        last = notification.retry_count + 1 >= RetryPolicy.of(notification.type, self._settings).attempts
        if (unknown or last) and _may_be_proved(notification, attempt, evidence_wait):
            return lifecycle.awaiting(notification, attempt)
        if last or (unknown and notification.on_uncertain == "hold"):
            # The reason tells whoever retries it that it may have arrived.
            return lifecycle.failed(notification, attempt, "outcome-unknown" if unknown else "exhausted")
        delay = job.batch.delays[notification.type, notification.retry_count]
        return lifecycle.retry(notification, attempt, delay / 1000)


def _may_be_proved(notification: Claimed, attempt: Attempt, evidence_wait: float | None) -> bool:
    """Return whether it must not be sent again, and evidence may come about this attempt or an earlier one."""
    this_one = attempt.outcome == "uncertain" and evidence_wait is not None
    return notification.on_uncertain == "hold" and (this_one or notification.bound_provider is not None)


def certainly_not_taken(attempt: Attempt) -> bool:
    """Return whether the provider gave the notification back before its content went out, or was down."""
    if attempt.outcome == "deferred":
        return attempt.phase in BEFORE_CONTENT
    return attempt.outcome == "provider-down"
