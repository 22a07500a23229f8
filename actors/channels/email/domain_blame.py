"""Decide whether "not now" in answer to a mail is about the domain of its recipient, or about all that we send.

It is the domain's if several other domains get their mails through at the same time, or if the domain is known to be
slow and no other one refuses. It is ours if several domains begin to say so within a few seconds: then the mail server
slows us down. Domains that belong to the same mail system, such as those of Google's customers, are not grouped.
"""

from __future__ import annotations

from collections import deque
from math import inf

from actors.channels import Throttled, Undelivered
from actors.channels.email.answers import Reply
from actors.channels.email.mailboxes import ascii_domain
from actors.channels.email.refusals import CLOSING, plain
from actors.channels.email.throttling import speaks_of_another_matter

LATELY = 5.0  # seconds for which a mail that was taken proves that its domain gets through
BEGINNING = 10.0  # seconds within which domains that begin to refuse are counted together
SEVERAL = 2  # other domains that must get through
TOO_SEVERAL = 3  # domains that begin to refuse at the same time
SAME_MATTER = 60.0  # seconds within which two recipients of a domain must meet an answer that says no more than a code
KEPT = 256  # mails taken lately
DOMAINS = 1_000  # about which a code was given lately

_KNOWS_RECIPIENT = frozenset({"rcpt", "data", "content"})


class DomainBlame:
    """Mails that were taken and refused lately. Times are `time.monotonic()`."""

    def __init__(self) -> None:
        self._taken: deque[tuple[float, str]] = deque(maxlen=KEPT)
        self.took = self._taken.append  # the time, and the recipient of a mail that was taken
        self._refused: dict[str, float] = {}  # when each domain refused last
        self._began: dict[str, float] = {}  # when each domain began to refuse
        self._codes: dict[str, tuple[str, float]] = {}  # the last recipient that met a code without words

    def is_throttle(self, refusal: Undelivered, recipient: str, domain: str, now: float) -> bool:
        """Return whether a refusal means "not now": in words, or by its code where it is about all of a domain.

        421, and any 4xx with 4.7.x or 450 without a code if a second recipient met it while the domain took nothing.
        """
        phase, code, enhanced_code, text, _ = refusal.receipt
        if phase not in _KNOWS_RECIPIENT or code is None:
            return False
        if isinstance(refusal, Throttled):
            return True
        reply = Reply(code, enhanced_code, text)
        if not 400 <= code < 500 or speaks_of_another_matter(plain(reply.text)):
            return False
        if code == CLOSING:
            return True
        if not ((enhanced_code or "").startswith("4.7.") or (code == 450 and enhanced_code is None)):
            return False
        first, at = self._codes.get(domain, (recipient, -inf))
        if len(self._codes) >= DOMAINS:
            self._codes.clear()
        self._codes[domain] = (recipient, now)
        return first != recipient and now - at < SAME_MATTER and domain not in self._through(now)

    def is_domains(self, domain: str, now: float, *, limited: bool) -> bool:
        """Return whether the domain is to blame for a "not now". `limited`: it is known to be slow."""
        self._refused = {other: at for other, at in self._refused.items() if now - at < LATELY}
        others, self._refused[domain] = self._refused.keys() - {domain}, now
        several = len(self._through(now) - {domain}) >= SEVERAL
        if limited or not several:
            return several or (limited and not others)
        self._began = {other: at for other, at in self._began.items() if now - at < BEGINNING}
        self._began[domain] = now
        return len(self._began) < TOO_SEVERAL

    def forgiven(self) -> list[str]:
        """Return the domains that began to refuse lately, and forget them: it was not about them."""
        domains = list(self._began)
        self._began.clear()
        return domains

    def part(self, domain: str, now: float) -> float:
        """Return the part of the mails taken lately that went to a domain, from 0 to 1."""
        lately = [ascii_domain(recipient) for at, recipient in self._taken if now - at < LATELY]
        return lately.count(domain) / max(1, len(lately))

    def _through(self, now: float) -> set[str]:
        """Return the domains that took mails lately."""
        return {ascii_domain(recipient) for at, recipient in self._taken if now - at < LATELY}
