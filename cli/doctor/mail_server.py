"""Probe of the mail server: connect and log in, but send no mail."""

from __future__ import annotations

from collections.abc import Iterator

from actors.channels import ProviderDown
from actors.channels.email.handshake import ServerProperties
from cli import lazy
from cli.doctor.findings import Finding, ok, problem, warning
from settings import Settings

CHECK = "mail"
EXPIRING = 14.0  # days
FIXES = {
    "connect": "start it, open the firewall, or correct host and port in SMTP_URL",
    "tls": "fix its certificate, add ?ca= to SMTP_URL, or use smtp:// if it starts without TLS",
    "greeting": "see its log for the reason why it sends no greeting, or check that this is a mail server",
    "ehlo": "allow this machine to use the mail server",
    "starttls": "fix its certificate, add ?ca= to SMTP_URL, or add starttls=off if clear text is acceptable",
    "auth": "correct user and password in SMTP_URL (write an @ in them as %40)",
}


def findings(chosen: Settings, seconds: float) -> Iterator[Finding]:
    """Yield the findings on the mail server. Each of its answers may take `seconds`."""
    timeout, connect = min(seconds, chosen.smtp.timeout), min(seconds, chosen.smtp.connect_timeout)
    place = chosen.smtp.server.name
    try:
        probe = lazy.attribute("actors.channels.email.smtp_probe:probe")
        server: ServerProperties = probe(chosen.changed(SMTP_TIMEOUT=timeout, SMTP_CONNECT_TIMEOUT=connect).smtp)
    except ProviderDown as down:
        phase = down.receipt.phase
        yield problem(CHECK, f"{place}, {phase}: {down}", FIXES.get(phase, "see its log"))
        return
    yield ok(CHECK, _said(place, server, chosen.smtp.server.connections))
    yield from _certificate(server)
    if server.tls is None and server.logged_in:
        yield warning(CHECK, "the password crosses the network unencrypted", "remove starttls=off from SMTP_URL")
    if server.most < chosen.content.attachments_size:
        size = chosen.content.attachments_size
        what = f"it accepts mails of at most {server.most:,.0f} bytes, but ATTACHMENTS_SIZE is {size:,}"
        yield warning(CHECK, what, "lower ATTACHMENTS_SIZE: encoding makes attachments a third larger")


def _said(place: str, server: ServerProperties, connections: int) -> str:
    words = [f"{place} answers in {server.seconds * 1000:.0f} ms", f"at most {connections} connections"]
    words.append(server.tls or "unencrypted")
    return ", ".join([*words, "logged in"] if server.logged_in else words)


def _certificate(server: ServerProperties) -> Iterator[Finding]:
    days = server.certificate_days
    if days is not None and days < EXPIRING:
        yield warning(CHECK, f"its certificate expires in {days:.0f} days", "renew it: afterwards no mail is sent")
    elif days is not None:
        yield ok(CHECK, f"its certificate is valid for {days:.0f} days")
    elif server.tls is not None:
        yield ok(CHECK, "its certificate is not verified (starttls=optional)")
