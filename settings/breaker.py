"""Settings of the breaker, which stops sending through a mail server that fails."""

from __future__ import annotations

from dataclasses import dataclass

from settings.group import Group, number


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings(Group):
    """Read by actors.breaker."""

    threshold: int = number("BREAKER_THRESHOLD", 5, "failures", low=1, high=10_000)
    """Consecutive failures of the mail server in one worker process that open the breaker for all. Failures of
    particular mails count once for each client and domain."""
    probe_wait: float = number("PROBE_WAIT", 5, "seconds", low=0.1, high=3_600)
    """The delay between the opening of the breaker and the first probe; it doubles with each failed probe."""
    probe_wait_max: float = number("PROBE_WAIT_MAX", 60, "seconds", low=0.1, high=3_600)
    """The longest delay between two probes."""
