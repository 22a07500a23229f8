"""Rules that bind settings of different groups."""

from __future__ import annotations

from collections.abc import Iterator

from settings.callbacks import CallbackSettings
from settings.delivery import DeliverySettings
from settings.smtp import SmtpSettings


def faults(delivery: DeliverySettings, smtp: SmtpSettings, callbacks: CallbackSettings) -> Iterator[str]:
    """Yield a sentence for each rule that the settings break."""
    if callbacks.timeout >= delivery.stuck_after:
        yield "CALLBACK_TIMEOUT must be below STUCK_AFTER, or rescue would take work from live workers"
    # To connect to two addresses, and for the greeting and the replies to EHLO, MAIL, RCPT and DATA at their slowest.
    least = 2 * smtp.connect_timeout + 5 * smtp.timeout
    if least >= delivery.send_limit(smtp.data_timeout):
        slowest = delivery.stuck_after - delivery.send_limit(smtp.data_timeout) + least
        yield (
            f"STUCK_AFTER must be above {slowest:g}, the time that LIST_BUDGET and the SMTP time-outs allow, or rescue "
            "would take work from live workers: raise it, or lower SMTP_TIMEOUT or SMTP_DATA_TIMEOUT"
        )
