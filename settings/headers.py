"""Names of mail headers that clients may give: ALLOWED_HEADERS."""

from __future__ import annotations

import re

from settings.errors import SettingsError

_HEADER_RULE = re.compile(r"[A-Za-z0-9-]{1,60}\*?|\*")
# Headers that the mail channel writes, or that only mail systems may write.
RESERVED_HEADERS = {
    *("from", "to", "cc", "bcc", "reply-to", "sender", "subject", "date", "message-id", "auto-submitted"),
    *("mime-version", "list-unsubscribe", "list-unsubscribe-post", "return-path", "received", "received-spf"),
    *("dkim-signature", "authentication-results", "delivered-to"),
}
# Headers that control a mail provider (recipients, templates, accounts, tracking), or that providers and relays add to
# authenticate a mail. `X-*` does not allow them; only their full name in ALLOWED_HEADERS does.
PROVIDER_HEADERS = re.compile(
    r"x-(?:originating-ip|job|envid|apiheader|xs.*)|x-(?:tm|mailin|mc|mailgun|ses|msys|pm|sib|brevo|mj|sg|mt|gm|ms-exchange|socketlabs|postal)-.*"
    r"|x-(?:smtp|mandrill|sparkpost|postmark|mailjet|mailersend|resend|sendgrid|elastic|greenarrow|virtual-?mta).*"
    r"|x-(?:envelope|google|microsoft|forefront).*|resend-.*"
)


def rules(allowed: str) -> re.Pattern[str]:
    """Return the pattern that the name of a header must match. Raises SettingsError."""
    names = [name.strip() for name in allowed.split(",")]
    for name in names:
        if not _HEADER_RULE.fullmatch(name):
            raise SettingsError("ALLOWED_HEADERS is malformed: give names, for example X-*, References")
        if name.lower() in RESERVED_HEADERS:
            raise SettingsError(f"ALLOWED_HEADERS contains {name}: remove it, this system writes it itself")
    return re.compile("|".join(name.replace("*", "[A-Za-z0-9-]{1,60}") for name in names), re.ASCII | re.IGNORECASE)
