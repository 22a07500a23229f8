"""Sources of evidence: ways to find out whether a provider has taken a notification whose attempt had no answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import NamedTuple

from actors.channels import Provider
from actors.reports.event import Event


class Found(NamedTuple):
    """A message that a provider has taken, as its answer to a look-up says. `raw`: that answer."""

    event: Event
    raw: bytes


# Looks a notification up by id, recipient and the time of its first attempt without an answer. Returns None if the
# provider does not know it (yet); raises Undelivered if it does not answer.
LookUp = Callable[[int, str, datetime], Awaitable[Found | None]]


class EvidenceSources(NamedTuple):
    """Sources of evidence about a provider's messages.

    `reports`: it gets our token, and there is a way in for reports. `replay_within`: seconds for which it recognises a
    message that is repeated; 0 if it does not. `look_up`: asks it for a message by our token; None if it cannot tell.
    """

    reports: bool = False
    replay_within: float = 0.0
    look_up: LookUp | None = None

    def wait(self, longest: float) -> float | None:
        """Return the seconds in which evidence about an attempt may come, up to `longest`; None if none can come."""
        if not longest or not any(self):
            return None
        return min(longest, self.replay_within or longest)


NONE = EvidenceSources()


def sources(provider: Provider) -> EvidenceSources:
    """Return the sources of a provider, which has them as its attribute `evidence_sources`; NONE without it."""
    found = getattr(provider, "evidence_sources", NONE)
    return found if isinstance(found, EvidenceSources) else NONE
