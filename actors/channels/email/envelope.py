"""Commands of a mail's envelope (RFC 5321), and the octets of its content."""

from __future__ import annotations

import re
from collections.abc import Iterator

from actors.channels.email.mail import Mail

DATA = "DATA"
_LINE_DOT = re.compile(rb"(?m)^\.")


def commands(mail: Mail) -> Iterator[str]:
    """Yield the commands that may be pipelined before the content.

    DATA is included only for a single recipient: if one of several is refused, the others must not get the mail.
    """
    yield mail_command(mail)
    yield from map(rcpt_command, mail.recipients)
    if len(mail.recipients) == 1:
        yield DATA


def mail_command(mail: Mail) -> str:
    """Return MAIL, with the parameters for a mail that needs SMTPUTF8 (RFC 6531)."""
    return f"MAIL FROM:<{mail.sender}>{' SMTPUTF8 BODY=8BITMIME' if mail.utf8 else ''}"


def rcpt_command(recipient: str) -> str:
    """Return RCPT."""
    return f"RCPT TO:<{recipient}>"


def stuffed(content: bytes) -> bytes:
    """Return the content dot-stuffed, with the final dot (RFC 5321, section 4.5.2)."""
    return _LINE_DOT.sub(b"..", content) + b".\r\n"
