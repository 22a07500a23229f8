"""Settings of what a notification may hold: the limits that api/schemas/*.json name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from settings.errors import SettingsError
from settings.group import Group, fault, number, text

_NAME = re.compile(r"[A-Za-z0-9-]{1,60}\*?|\*")
# Header fields that the email channel writes, and those that only the mail systems on the way may write.
RESERVED_HEADERS = {
    *("from", "to", "cc", "bcc", "reply-to", "sender", "subject", "date", "message-id", "auto-submitted"),
    *("mime-version", "list-unsubscribe", "list-unsubscribe-post", "return-path", "received", "received-spf"),
    *("dkim-signature", "authentication-results", "delivered-to"),
}
# Header fields by which a mail provider takes orders (other recipients, templates, accounts, tracking), or by which
# providers and relays vouch for a mail. In ALLOWED_HEADERS, `X-*` does not allow them; only their own name does.
PROVIDER_HEADERS = re.compile(
    r"x-(?:originating-ip|job|envid|apiheader|xs.*)|x-(?:tm|mailin|mc|mailgun|ses|msys|pm|sib|brevo|mj|sg|mt|gm|ms-exchange|socketlabs|postal)-.*"
    r"|x-(?:smtp|mandrill|sparkpost|postmark|mailjet|mailersend|resend|sendgrid|elastic|greenarrow|virtual-?mta).*"
    r"|x-(?:envelope|google|microsoft|forefront).*|resend-.*"
)
ALLOWED = "X-*, References, In-Reply-To, Precedence, Importance, Feedback-ID, List-ID"
REFUSED = (
    "application/x-msdownload, application/x-msdos-program, application/x-dosexec, application/x-executable, "
    "application/x-sh, application/hta, application/java-archive, application/javascript, text/javascript, "
    ".exe, .com, .bat, .cmd, .scr, .pif, .msi, .vbs, .vbe, .js, .jse, .wsf, .wsh, .hta, "
    ".jar, .ps1, .lnk, .cpl, .reg"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentSettings(Group):
    """Read by api.schemas."""

    message_limit: int = number("MESSAGE_LIMIT", 100_000, "characters", low=1, high=10_000_000)
    """The longest `message`."""
    html_limit: int = number("HTML_LIMIT", 500_000, "characters", low=1, high=10_000_000)
    """The longest `html`."""
    subject_limit: int = number("SUBJECT_LIMIT", 500, "characters", low=1, high=10_000)
    """The longest `subject`."""
    recipients_limit: int = number("RECIPIENTS_LIMIT", 50, "addresses", low=1, high=1_000)
    """`recipient`, `cc` and `bcc` together; every mail server must accept 100 (RFC 5321, 4.5.3.1.8)."""
    allowed_headers: str = text("ALLOWED_HEADERS", "names", default=ALLOWED)
    """The names of the header fields that clients may set; `*` stands for any rest of a name."""
    attachments_limit: int = number("ATTACHMENTS_LIMIT", 10, "files", low=1, high=100)
    """How many attachments a notification may have."""
    attachments_size: int = number("ATTACHMENTS_SIZE", 7_000_000, "bytes", low=1, high=52_428_800)
    """The decoded size of all attachments of one notification."""
    refused_attachments: str = text("REFUSED_ATTACHMENTS", "names", default=REFUSED)
    """Content types and file name extensions that are refused."""
    batch_limit: int = number("BATCH_LIMIT", 1_000, "notifications", low=1, high=10_000)
    """How many notifications a batch may hold."""

    @property
    def header_rules(self) -> re.Pattern[str]:
        """The pattern of ALLOWED_HEADERS, which the name of each header field of a client must match."""
        names = [name.strip() for name in self.allowed_headers.split(",")]
        for name in names:
            if not _NAME.fullmatch(name):
                raise SettingsError("ALLOWED_HEADERS is malformed: give names, for example X-*, References")
            if name.lower() in RESERVED_HEADERS:
                raise SettingsError(f"ALLOWED_HEADERS contains {name}: remove it, this system writes it itself")
        return re.compile("|".join(name.replace("*", "[A-Za-z0-9-]{1,60}") for name in names), re.ASCII | re.IGNORECASE)

    @property
    def exact_headers(self) -> frozenset[str]:
        """The names in ALLOWED_HEADERS without `*`, in lower case."""
        names = (name.strip().lower() for name in self.allowed_headers.split(","))
        return frozenset(name for name in names if "*" not in name)

    def faults(self) -> Iterator[str]:
        yield from fault(lambda: self.header_rules)
