"""Limit the mails to single domains: by DOMAIN_LIMITS, and by what their answers teach.

What is configured holds for all worker processes together; what is learned is of this process.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from actors.channels import Throttled, Undelivered
from actors.channels.connections import Connections
from actors.channels.email.booking import SOON, Bookings
from actors.channels.email.domain_blame import DomainBlame
from actors.channels.email.domain_connections import DomainConnections
from actors.channels.email.limited_domain import LimitedDomain
from actors.channels.email.mailboxes import ascii_domain
from actors.channels.email.refusals import plain
from actors.channels.lease import ConnectionLease
from actors.channels.rate import SharedRate
from actors.channels.shaping import Booking
from db.records import Claimed
from runtime import logs, metrics
from settings import Settings
from settings.domain_limits import DomainLimit
from settings.providers import Provider

log = logs.get("domains")

MOST = 1_000  # domains whose limits are learned at a time
AT_MOST = 1.0  # seconds until waiting mails are looked at again


class DomainLimits:
    """Limits of the domains to which one mail provider sends."""

    def __init__(
        self,
        provider: str,
        configured: Mapping[str, DomainLimit],
        connections: int,
        lease: ConnectionLease | None,
        rouse: Callable[[], None],
    ) -> None:
        """`connections`: those of the provider. `rouse` is called when mails that wait may begin.

        `lease`: what shares the limits among processes; without it, they hold for this one.
        """
        self._provider, self._most, self._lease, self._rouse = provider, connections, lease, rouse
        self.blame = DomainBlame()
        self._limited: dict[str, LimitedDomain] = {}
        if lease:
            self._limited = {domain: self._configured(domain, limit, lease) for domain, limit in configured.items()}
        client, namespace = (lease.client, lease.namespace) if lease else (None, str)
        self._bookings = Bookings(client, namespace, provider)
        self._timer: asyncio.TimerHandle | None = None

    @property
    def active(self) -> bool:
        return bool(self._limited)

    def ready(self, notification: Claimed) -> bool:
        if not self._limited or not (limits := self._of(notification)):
            return True
        now = time.monotonic()
        if wait := max(one.pause(now) for one in limits.values()):
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(min(wait, AT_MOST), self._look_again)
            return False
        for one in limits.values():
            one.begin(notification.id, now)
        return True

    def ended(self, notification: Claimed) -> None:
        for domain in _domains(notification) if self._limited else ():
            if one := self._limited.get(domain):
                one.under_way.pop(notification.id, None)

    def concerns(self, notification: Claimed) -> bool:
        return any(domain in self._limited for domain in _domains(notification))

    def late(self, notifications: Iterable[Claimed]) -> Mapping[int, str]:
        now, before, found = time.monotonic(), Counter[str](), dict[int, str]()
        for domain in [domain for domain, one in self._limited.items() if one.is_over(now)]:
            del self._limited[domain]
        for notification in notifications:
            limits = self._of(notification)
            waits = {domain: one.wait(before[domain], now) for domain, one in limits.items()}
            slowest = max(waits, key=lambda domain: waits[domain], default="")
            if slowest and waits[slowest] > SOON:
                found[notification.id] = slowest
            else:
                before.update(limits.keys())
        return found

    async def book(self, group: str, rank: int, count: int) -> Booking:
        one, now = self._limited.get(group), time.monotonic()
        gap = 1 / one.per_second(now) if one else 0.0
        processes = self._lease.processes if self._lease and not (one and one.limit.rate) else 1
        gap /= max(1, processes)
        metrics.domain_waits[self._provider].inc(count)
        return Booking(await self._bookings.delay(group, rank, gap, count), self._reason(group), gap)

    def judged(self, refusal: Undelivered, recipients: Iterable[str], begun: float) -> Undelivered:
        """Return Throttled if a refusal is about a domain, else the refusal. `begun`: when the mail began.

        `retry_after` of the answer is the time after which the domain is tried again; None if all domains are meant.
        """
        now, (recipient, domain) = time.monotonic(), _blamed(refusal, list(recipients))
        if not domain or not self.blame.is_throttle(refusal, recipient, domain, now):
            return refusal
        one = self._limited.get(domain)
        if not self.blame.is_domains(domain, now, limited=one is not None and bool(one.said)):
            for forgiven in self.blame.forgiven():
                if other := self._limited.get(forgiven):
                    other.forgive()
            return refusal
        if one is None and len(self._limited) >= MOST:
            return refusal
        phase, code, enhanced_code, text, _ = refusal.receipt
        return Throttled(
            text,
            phase=phase,
            reply_code=code,
            enhanced_code=enhanced_code,
            retry_after=self._slow_down(domain, begun, text, now),
        )

    def took(self, notification: Claimed) -> None:
        """Note that a mail was taken."""
        now = time.monotonic()
        self.blame.took((now, notification.recipient))
        if self._limited:
            for one in self._of(notification).values():
                one.took(notification.id, self._most, now)

    async def close(self) -> None:
        """Give the leases back."""
        for one in self._limited.values():
            if one.connections:
                await one.connections.close()

    def _slow_down(self, domain: str, begun: float, text: str, now: float) -> float:
        one = self._limited.setdefault(domain, LimitedDomain())
        working = 0 if one.said else round(self._most * self.blame.part(domain, now))
        # Without addresses: the words are shown with the notifications of other clients.
        said = plain(text)
        if not one.said:
            log.warning("domain.throttled", provider=self._provider, domain=domain, answer=said)
        metrics.domain_throttles[self._provider].inc()
        return one.throttled(working, begun, said or "it gave no reason", now)

    def _configured(self, domain: str, limit: DomainLimit, lease: ConnectionLease) -> LimitedDomain:
        name = f"{self._provider}/{domain}"
        rate = None
        if limit.rate:
            rate = SharedRate(lease.client, lease.namespace, name, limit.rate, lambda: lease.processes)
        one = LimitedDomain(limit, rate)
        if limit.connections:
            share = ConnectionLease(lease.client, lease.namespace, name, limit.connections)
            one.connections = DomainConnections(share, limit.connections, lambda: len(one.under_way), self._rouse)
        return one

    def _of(self, notification: Claimed) -> dict[str, LimitedDomain]:
        limited = self._limited
        return {domain: limited[domain] for domain in _domains(notification) if domain in limited}

    def _reason(self, domain: str) -> str:
        one = self._limited.get(domain)
        if one is None or not one.said:
            return f"waits because of DOMAIN_LIMITS of {domain}"
        return f"waits because {domain} takes no more now: {one.said}"

    def _look_again(self) -> None:
        self._timer = None
        self._rouse()


def of_provider(
    settings: Settings, provider: Provider, limits: Connections, lease: ConnectionLease | None
) -> DomainLimits:
    """Return the limits of the domains to which a provider sends."""
    return DomainLimits(provider.name, settings.smtp.limits_of_domains, provider.connections, lease, limits.rouse)


def recipients_of(notification: Claimed) -> Iterator[str]:
    """Yield the addresses of a notification."""
    yield notification.recipient
    if notification.mail:
        for name in ("cc", "bcc"):
            for text in notification.mail.get(name, ()):
                yield text.rpartition("<")[2].rstrip(" >")


def _domains(notification: Claimed) -> Iterator[str]:
    """Yield the domains of the recipients, some perhaps twice."""
    return map(ascii_domain, recipients_of(notification))


def _blamed(refusal: Undelivered, recipients: Sequence[str]) -> tuple[str, str]:
    """Return the recipient that a refusal is about, and its domain; empty if it may be about several."""
    if len(domains := set(map(ascii_domain, recipients))) == 1:
        return recipients[0], domains.pop()
    phase, _, _, text, _ = refusal.receipt
    recipient = text.partition(": ")[0]  # With several recipients, an answer to RCPT begins with the one.
    return (recipient, ascii_domain(recipient)) if phase == "rcpt" and "@" in recipient else ("", "")
