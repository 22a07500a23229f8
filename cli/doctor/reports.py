"""Probe of the reports: webhooks that are refused, and providers that fell silent. Needs an open `connection()`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cli.doctor.findings import Finding, warning
from cli.terminal.moments import readable
from db import incoming_reports, silence
from settings import Settings

DAY = 86_400.0  # seconds
FIX = "check its webhook (the address, the key, the events that are chosen), or what leads bounces to `notify bounces`"


def findings(chosen: Settings) -> Iterator[Finding]:
    """Yield a finding on each provider whose webhooks are refused or have stopped."""
    for provider, number, reason in incoming_reports.rejections(DAY):
        what = f"{number} requests to the webhook of {provider} were refused, the last one within a day: {reason}"
        fix = "compare `reports` in its URL with the keys at the provider; strangers may send such requests too"
        yield warning("reports", what, fix)
    for provider, since, judged in silence.standings():
        if provider not in chosen.provider_names:
            continue
        if judged is not None and (judged.silent or since):
            what = (
                f"{provider} took {judged.sent:,} notifications in {judged.hours} hours, and reports came about "
                f"{judged.reported:,} of them; {judged.usual:.0%} would be usual"
            )
            yield warning("reports", f"{what}{_noticed(since)}", FIX)
        elif since:
            yield warning("reports", f"reports about what {provider} took have stopped{_noticed(since)}", FIX)


def _noticed(since: datetime | None) -> str:
    return f" (noticed {readable(since)})" if since else ""
