"""Commands of a mail's envelope (RFC 5321), and the octets of its content."""

from __future__ import annotations

import re
from collections.abc import Iterator

from actors.channels.email.mail import Mail

DATA = "DATA"
_NOT_XTEXT = re.compile(r"[^!-*,-<>-~]")
_LINE_DOT = re.compile(rb"(?m)^\.")


def commands(mail: Mail, *, dsn: bool = False) -> Iterator[str]:
    """Yield the commands that may be pipelined before the content. `dsn`: the server offers DSN (RFC 3461).

    DATA is included only for a single recipient: if one of several is refused, the others must not get the mail.
    """
    yield mail_command(mail, dsn=dsn)
    for recipient in mail.recipients:
        yield rcpt_command(mail, recipient, dsn=dsn)
    if len(mail.recipients) == 1:
        yield DATA


def mail_command(mail: Mail, *, dsn: bool = False) -> str:
    """Return MAIL, with the parameters for a mail that needs SMTPUTF8 (RFC 6531) and for reports (RFC 3461)."""
    utf8 = " SMTPUTF8 BODY=8BITMIME" if mail.utf8 else ""
    reports = f" RET=HDRS ENVID={mail.identity.token}" if dsn and mail.identity else ""
    return f"MAIL FROM:<{mail.return_path}>{utf8}{reports}"


def rcpt_command(mail: Mail, recipient: str, *, dsn: bool = False) -> str:
    """Return RCPT. ORCPT repeats the address in reports, also after an alias was expanded."""
    if not (dsn and mail.identity and recipient.isascii()):
        return f"RCPT TO:<{recipient}>"
    return f"RCPT TO:<{recipient}> ORCPT=rfc822;{_xtext(recipient)}"


def _xtext(text: str) -> str:
    """Return a text as xtext (RFC 3461, section 4)."""
    return _NOT_XTEXT.sub(lambda found: f"+{ord(found[0]):02X}", text)


def stuffed(content: bytes) -> bytes:
    """Return the content dot-stuffed, with the final dot (RFC 5321, section 4.5.2)."""
    return _LINE_DOT.sub(b"..", content) + b".\r\n"
