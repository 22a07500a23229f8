"""Probe of the reports: webhooks that are refused, and providers that fell silent. Needs an open `connection()`."""

from __future__ import annotations

from collections.abc import Iterator

from cli.doctor.findings import Finding, warning
from cli.terminal.moments import readable, span
from db import incoming_reports, silence
from settings import Settings

DAY = 86_400.0  # seconds


def findings(chosen: Settings) -> Iterator[Finding]:
    """Yield a finding on each provider whose webhooks are refused or have stopped."""
    for provider, number, reason in incoming_reports.rejections(DAY):
        what = f"{number} requests to the webhook of {provider} were refused, the last one within a day: {reason}"
        fix = "compare `reports` in its URL with the keys at the provider; strangers may send such requests too"
        yield warning("reports", what, fix)
    for one in chosen.named_providers if chosen.provider_names else ():
        silent = silence.silent(one.name) if one.reports else None
        if silent is not None:
            what = (
                f"{one.name} took {silent.sent} notifications in the last {span(silence.WINDOW)} and reported none; "
                f"its last report came {readable(silent.last)}"
            )
            yield warning("reports", what, "check its webhook: the address, the key, and the events that are chosen")
