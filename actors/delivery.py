"""The actor: claim a list, send its mails one by one, settle each as it happens."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import dramatiq
from dramatiq import Retry
from dramatiq.common import compute_backoff
from dramatiq.middleware import Middleware

import logs
import settings
from actors import hub
from actors.breaker import ALL, ONE, Breaker
from actors.broker import broker
from actors.budgets import Budget
from actors.channels import Channel, Deferred, Uncertain, Undelivered
from actors.channels.permanence import is_gone
from actors.evidence import evidence
from actors.lanes import LANES, Lane
from actors.ledger import Ledger
from actors.outcomes import report
from db import lifecycle, workers
from db.database import Unavailable
from db.models import CALLBACK
from db.records import Attempt, Claimed, Settlement

log = logs.get("delivery")

# With the `time.monotonic()` at which it was claimed, and whether it was still ours.
_Recording = tuple[Claimed, Settlement, float, hub.Pending[bool]]

_current = settings.load()


class Again(Retry):
    """Of a list, these `ids` must be tried again after `delay` milliseconds."""

    def __init__(self, ids: Sequence[int], delay: int) -> None:
        super().__init__(f"{len(ids)} to be tried again", delay=delay)
        self.ids = ids


class Narrow(Middleware):
    """Before Retries sends a message again, narrow its list to the ids that must be tried again."""

    def after_process_message(
        self, broker: Any, message: Any, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        if isinstance(exception, Again):
            message.args[0][:] = exception.ids


# "After" hooks run from the last middleware to the first, so this one comes before Retries.
broker.add_middleware(Narrow())


class Delivery:
    """How this worker process delivers: shared by its threads."""

    def __init__(
        self,
        current: settings.Settings,
        worker: UUID,
        ledger: Ledger,
        channels: Mapping[str, Channel],
        breaker: Breaker,
    ) -> None:
        self._settings, self._worker, self._ledger, self._channels = current, worker, ledger, channels
        self.breaker = breaker
        self.stopping = threading.Event()
        self.alive_at = time.monotonic()  # of the last heartbeat that was recorded
        self._doubtful_before = float("-inf")  # time.monotonic(): what was claimed earlier may be others' now

    def beaten(self, at: float, *, late: bool) -> None:
        """Note that the heartbeat of `at` (time.monotonic()) is recorded.

        `late`: so long after the one before that other workers may have taken this one for dead.
        """
        if late:
            self._doubtful_before = time.monotonic()
        self.alive_at = at

    def silent(self, seconds: float) -> bool:
        """Return whether others may soon take a worker for dead whose heartbeats are so far apart."""
        return seconds > self._settings.worker_timeout / 2

    def unrecorded(self) -> workers.Unrecorded:
        """Return the outcomes that the database has not taken yet."""
        return self._ledger.unrecorded()

    def deliver(self, ids: Sequence[int], lane: Lane = LANES["normal"]) -> None:
        """Deliver those of `ids` that are pending and due; raises Again for what must be tried again."""
        # The breaker is about the mail server; each callback goes to another one.
        admitted = ALL if lane.name == CALLBACK else self.breaker.admits()
        asked_at = time.monotonic()
        try:
            # What is not admitted stays as it is, and the relay rings again when the breaker closes. The sandbox
            # has no breaker.
            admitted_ids = self._probe() if admitted == ONE else ids[:admitted]
            claimed = self._ledger.claim(admitted_ids, if_sandbox=ids if admitted < ALL else ())
        except Exception as error:
            if admitted == ONE:
                self.breaker.unused()
            if not isinstance(error, Unavailable):
                log.exception("claim.failed")
            raise Retry(f"claim: {error if isinstance(error, Unavailable) else type(error).__name__}") from None
        retries = self._send_all(claimed, asked_at, probe=admitted == ONE)
        if retries:
            first, *others = sorted(retries.items(), key=lambda item: len(item[1]), reverse=True)
            for delay, later in others:
                ACTORS[lane.name].send_with_options(args=(later,), delay=delay)
            raise Again(first[1], first[0])

    def _probe(self) -> Sequence[int]:
        return hub.outside(lambda: self._ledger.candidate(self.breaker.provider))

    def _send_all(self, claimed: Sequence[Claimed], asked_at: float, *, probe: bool) -> dict[int, list[int]]:
        """Returns the ids to be tried again by their delay in milliseconds. `asked_at`: just before the claim."""
        begun = time.monotonic()
        delays = Delays(self._settings)
        recording: deque[_Recording] = deque()
        retries: defaultdict[int, list[int]] = defaultdict(list)
        probed, owned = False, True
        waiting = deque(claimed)
        try:
            while waiting := self._handed_back(waiting, asked_at, probe=probe, owned=owned):
                notification = waiting.popleft()
                following = waiting[0] if waiting and _by_mail(waiting[0]) else None
                settlement = self._attempt(notification, following, delays)
                # Before anything else that can fail: from here on the outcome is kept until it is recorded.
                recording.append((notification, settlement, begun, self._ledger.settle(settlement)))
                if _by_mail(notification):
                    probed = True
                    self._tell_breaker(notification, settlement.attempt, probe=probe)
                if len(recording) >= lifecycle.AHEAD:
                    # All of them, which most likely are recorded together: one wait for two mails.
                    while recording:
                        owned &= _await(recording.popleft(), retries)
            for recorded in recording:
                _await(recorded, retries)
        except Exception:
            self._hand_back(waiting)
            raise
        finally:
            if probe and not probed:  # None was due, or it was handed back.
                self.breaker.unused()
        return retries

    def _handed_back(self, waiting: deque[Claimed], asked_at: float, *, probe: bool, owned: bool) -> deque[Claimed]:
        """What is still to be sent; the rest goes back: all of it, or what an open breaker holds up.

        `owned`: False where others have taken over what was sent last, and so perhaps the rest.
        """
        going: deque[Claimed] = deque()
        if owned and not self._must_hand_back(asked_at):
            going = deque(n for n in waiting if not _by_mail(n)) if self.breaker.open and not probe else waiting
        if len(going) < len(waiting):
            self._hand_back([n for n in waiting if n not in going])
        return going

    def _hand_back(self, untried: Sequence[Claimed]) -> None:
        if untried:
            hub.outside(lambda: self._ledger.release(untried))

    def _must_hand_back(self, asked_at: float) -> bool:
        now = time.monotonic()
        # Others take over what a worker without heartbeats holds; it must have stopped sending by then. Where it
        # could not, because its process or its machine stood still, it must not go on with it.
        doubtful = self.silent(now - self.alive_at) or asked_at < self._doubtful_before
        return self.stopping.is_set() or doubtful or now - asked_at > self._settings.list_budget

    def _attempt(self, notification: Claimed, following: Claimed | None, delays: Delays) -> Settlement:
        channel = self._channels["sandbox" if notification.sandbox else notification.type]
        started = time.monotonic()
        error: Undelivered | None = None
        begun = False

        def begin() -> bool:
            nonlocal begun
            begun = self._begin(notification)
            return begun

        try:
            contents = self._contents(notification)
            receipt = channel.send(notification, begin, contents, following)
        except Undelivered as undelivered:
            error, receipt = undelivered, undelivered.receipt
        except Exception as bug:
            log.exception("notification.broken", id=notification.id)
            text = f"internal error: {type(bug).__name__}"
            # Once it was begun, all of it may have gone out.
            error = Uncertain(text, phase="content") if begun else Deferred(text, phase="compose")
            receipt = error.receipt
            with contextlib.suppress(Exception):
                channel.hang_up()  # Nobody knows what the other side waits for now.
        attempt = Attempt(
            error.outcome if error else "sent",
            self._worker,
            channel.provider,
            started,
            time.monotonic(),
            *receipt,
        )
        return self._judge(notification, attempt, delays)

    def _contents(self, notification: Claimed) -> Sequence[bytes]:
        """Those of its attachments, which few have."""
        if not (notification.mail and notification.mail.get("attachments")):
            return ()
        contents = self._ledger.contents(notification)
        if contents is None:  # The database was away, and we were taken for dead.
            raise Deferred("another worker has taken this over", phase="compose")
        return contents

    def _begin(self, notification: Claimed) -> bool:
        return notification.on_uncertain == "resend" or self._ledger.doubt(notification)

    def _tell_breaker(self, notification: Claimed, attempt: Attempt, *, probe: bool) -> None:
        found = evidence(notification, attempt)
        self.breaker.heard(
            down=found.down,
            probe=probe,
            reason=f"{attempt.phase}: {attempt.text}" if found.down else "",
            about=found.about,
        )

    def _judge(self, notification: Claimed, attempt: Attempt, delays: Delays) -> Settlement:
        if attempt.outcome == "sent":
            return lifecycle.sent(notification, attempt)
        if _is_gone(notification, attempt):
            return lifecycle.bounced(notification, attempt)
        if attempt.outcome == "refused":
            return lifecycle.failed(notification, attempt, "rejected")
        if attempt.outcome == "uncertain" and notification.on_uncertain == "hold":
            return lifecycle.failed(notification, attempt, "outcome-unknown")
        if notification.retry_count + 1 >= Budget.of(notification.type, self._settings).attempts:
            # Whoever tries it again should know that it may have arrived.
            unknown = attempt.outcome == "uncertain"
            return lifecycle.failed(notification, attempt, "outcome-unknown" if unknown else "exhausted")
        return lifecycle.retry(notification, attempt, delays[notification.type, notification.retry_count] / 1000)


def _is_gone(notification: Claimed, attempt: Attempt) -> bool:
    try:
        return is_gone(notification, attempt)
    except Exception:  # The attempt was made and must be recorded.
        log.exception("attempt.not_judged", id=notification.id)
        return False


class Delays(dict[tuple[str, int], int]):
    """Milliseconds before the next attempt, by type and retries so far; drawn once a list: it stays together."""

    def __init__(self, current: settings.Settings) -> None:
        super().__init__()
        self._settings = current

    def __missing__(self, key: tuple[str, int]) -> int:
        type, retry_count = key
        budget = Budget.of(type, self._settings)
        least, most = int(budget.least * 1000), int(budget.most * 1000)
        _, delay = compute_backoff(retry_count, factor=least, max_backoff=most)
        self[key] = delay
        return delay


def _by_mail(notification: Claimed) -> bool:
    """Whether it goes to the mail server, whose breaker then is asked and told."""
    return not notification.sandbox and notification.type != CALLBACK


def _await(recording: _Recording, retries: defaultdict[int, list[int]]) -> bool:
    """Wait until an outcome is recorded; return whether its notification was still ours."""
    notification, settlement, claimed_at, recorded = recording
    owned = hub.wait(recorded)
    try:
        report(notification, settlement, claimed_at, owned=owned)
    except Exception:  # What is recorded is recorded, and the rest of the list goes on.
        log.exception("outcome.not_reported", id=settlement.id)
    if owned and settlement.delay is not None:
        # Never before the row is due, or the claim refuses it: the row's clock started earlier.
        retries[round(settlement.delay * 1000)].append(settlement.id)
    return owned


class _Process:
    """What the worker process puts here at boot."""

    delivery: Delivery | None = None
    hub: hub.Hub | None = None


running = _Process()


def _actor(lane: Lane) -> dramatiq.Actor[[list[int]], None]:
    budget = Budget.of(lane.name, _current)

    @dramatiq.actor(
        actor_name="deliver" if lane.name == "normal" else f"deliver_{lane.name}",
        queue_name=lane.queue,
        # The row owns the budget; the same number here ends a message that outlives its rows'.
        max_retries=budget.attempts - 1,
        min_backoff=int(budget.least * 1000),
        max_backoff=int(budget.most * 1000),
    )
    def deliver(ids: list[int]) -> None:
        """Deliver the notifications `ids`. The message is only a bell: the rows say what is to be done."""
        if running.delivery is None:
            raise RuntimeError("this is no worker process")
        if running.hub is None or lane.name == CALLBACK:  # Whose channel waits as threads do.
            running.delivery.deliver(ids, lane)
        else:
            running.hub.have_done(partial(running.delivery.deliver, ids, lane))

    return deliver


ACTORS = {lane.name: _actor(lane) for lane in LANES.values()}
deliver = ACTORS["normal"]
