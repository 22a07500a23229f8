"""Probe of the mail servers: connect and log in, but send no mail."""

from __future__ import annotations

from collections.abc import Iterator

from actors.channels import ProviderDown, registry
from actors.channels.email.handshake import ServerProperties
from cli import lazy
from cli.doctor.findings import Finding, ok, problem, warning
from settings import Settings, SettingsError
from settings.providers import Provider
from settings.smtp_url import SmtpServer

CHECK = "mail"
EXPIRING = 14.0  # days
FIXES = {  # {}: the setting with the URL
    "connect": "start it, open the firewall, or correct host and port in {}",
    "tls": "fix its certificate, add ?ca= to {}, or use smtp:// if it starts without TLS",
    "greeting": "see its log for the reason why it sends no greeting, or check that this is a mail server",
    "ehlo": "allow this machine to use the mail server",
    "starttls": "fix its certificate, add ?ca= to {}, or add starttls=off if clear text is acceptable",
    "auth": "correct user and password in {} (write an @ in them as %40)",
}


def findings(chosen: Settings, seconds: float) -> Iterator[Finding]:
    """Yield the findings on every mail server. Each of its answers may take `seconds`."""
    try:
        registry.check(chosen)
    except SettingsError as error:
        yield problem(CHECK, str(error), "correct it: no worker starts with it")
        return
    for provider in chosen.providers:
        if isinstance(provider.account, SmtpServer):
            yield from _findings(chosen, provider, provider.account, seconds)
        else:
            yield ok(CHECK, f"{provider.name}: the API of {provider.account.name} was not called, which takes a mail")


def _findings(chosen: Settings, provider: Provider, account: SmtpServer, seconds: float) -> Iterator[Finding]:
    timeout, connect = min(seconds, chosen.smtp.timeout), min(seconds, chosen.smtp.connect_timeout)
    variable, place = account.variable, provider.name
    try:
        probe = lazy.attribute("actors.channels.email.smtp_probe:probe")
        hurried = chosen.changed(SMTP_TIMEOUT=timeout, SMTP_CONNECT_TIMEOUT=connect).smtp
        server: ServerProperties = probe(hurried, account)
    except ProviderDown as down:
        phase = down.receipt.phase
        yield problem(CHECK, f"{place}, {phase}: {down}", FIXES.get(phase, "see its log").format(variable))
        return
    yield ok(CHECK, _said(place, server, provider.connections))
    yield from _certificate(server)
    if server.tls is None and server.logged_in:
        yield warning(CHECK, "the password crosses the network unencrypted", f"remove starttls=off from {variable}")
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
