"""The mail server: everything up to a mail, and no mail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from actors.channels import ProviderDown
from actors.channels.email.handshake import Handshake
from cli import lazy
from cli.doctor.findings import Finding, ok, problem, warning
from settings import Settings

CHECK = "mail"
EXPIRING = 14.0  # days
FIXES = {
    "connect": "start it, open the firewall, or put host and port in SMTP_URL right",
    "tls": "put its certificate right, give ?ca= in SMTP_URL, or use smtp:// where it speaks in clear first",
    "greeting": "look into its log for why it greets nobody, or whether it is a mail server at all",
    "ehlo": "let this machine in at the mail server",
    "starttls": "put its certificate right, give ?ca= in SMTP_URL, or say starttls=off where clear text will do",
    "auth": "put user and password in SMTP_URL right (an @ in them is %40)",
}


def findings(chosen: Settings, seconds: float) -> Iterator[Finding]:
    """`seconds`: how long each answer may take."""
    timeout, connect = min(seconds, chosen.smtp_timeout), min(seconds, chosen.smtp_connect_timeout)
    place = f"{chosen.smtp.host}:{chosen.smtp.port}"
    try:
        shake = lazy.attribute("actors.channels.email.smtp_probe:shake")
        shaken: Handshake = shake(replace(chosen, smtp_timeout=timeout, smtp_connect_timeout=connect))
    except ProviderDown as down:
        phase = down.receipt.phase
        yield problem(CHECK, f"{place}, {phase}: {down}", FIXES.get(phase, "look into its log"))
        return
    yield ok(CHECK, _said(place, shaken, chosen.smtp.connections))
    yield from _certificate(shaken)
    if shaken.tls is None and shaken.logged_in:
        yield warning(CHECK, "the password crosses the network in clear", "leave starttls=off out of SMTP_URL")
    if shaken.most < chosen.attachments_size:
        what = (
            f"it takes mails of at most {shaken.most:,.0f} bytes, and ATTACHMENTS_SIZE is {chosen.attachments_size:,}"
        )
        yield warning(CHECK, what, "lower ATTACHMENTS_SIZE: attachments grow by a third on the way")


def _said(place: str, shaken: Handshake, connections: int) -> str:
    words = [f"{place} greets in {shaken.seconds * 1000:.0f} ms", f"at most {connections} connections"]
    words.append(shaken.tls or "in clear")
    return ", ".join([*words, "logged in"] if shaken.logged_in else words)


def _certificate(shaken: Handshake) -> Iterator[Finding]:
    days = shaken.certificate_days
    if days is not None and days < EXPIRING:
        yield warning(CHECK, f"its certificate expires in {days:.0f} days", "renew it: nothing is sent afterwards")
    elif days is not None:
        yield ok(CHECK, f"its certificate is good for {days:.0f} days")
    elif shaken.tls is not None:
        yield ok(CHECK, "its certificate is not looked at (starttls=optional)")
