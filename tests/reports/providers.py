"""All providers whose webhooks are read."""

from __future__ import annotations

from tests.reports import mailgun, resend, sendgrid, ses, twilio, unsigned, vonage
from tests.reports.requests import Provider

PROVIDERS: dict[str, Provider] = {
    provider.kind: provider
    for provider in (
        *(ses.PROVIDER, sendgrid.PROVIDER, mailgun.PROVIDER, resend.PROVIDER, twilio.PROVIDER, vonage.PROVIDER),
        *unsigned.PROVIDERS,
    )
}
