"""Log in to a mail server with AUTH PLAIN (RFC 4616) or AUTH LOGIN.

CRAM-MD5 and similar mechanisms are not supported: a password requires TLS here, and over TLS they add no protection.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Awaitable, Callable

from actors.channels import ProviderDown
from actors.channels.email.answers import Reply
from settings import SmtpServer

_NOT_UNDERSTOOD = (500, 501, 502, 503, 504)


async def log_in(say: Callable[[str], Awaitable[Reply]], server: SmtpServer, offered: str) -> Reply:
    """Log in and return the server's last reply. `offered`: the mechanisms in its answer to EHLO.

    A password is tried only once, because repeated failures may lock the account. LOGIN follows PLAIN only if the
    server refused the mechanism without checking the password.

    Raises:
        ProviderDown: The server offers neither mechanism.
    """
    mechanisms = offered.upper().split()
    if "PLAIN" in mechanisms:
        reply = await say(f"AUTH PLAIN {_base64(_plain(server))}")
        if reply.code == 334:  # The server ignored the initial response and asks for it (RFC 4954, section 4).
            reply = await say(_base64(_plain(server)))
        if not ("LOGIN" in mechanisms and _is_about_mechanism(reply)):
            return reply
    elif "LOGIN" not in mechanisms:
        told = f"AUTH {' '.join(mechanisms)}" if mechanisms else "no AUTH"
        raise ProviderDown(f"the mail server offers {told}: neither AUTH PLAIN nor AUTH LOGIN", phase="auth")
    reply = await say("AUTH LOGIN")
    for answer in (server.user, server.password):
        reply = await say(_base64(answer)) if reply.code == 334 else reply
    return reply


def censored(text: str, server: SmtpServer) -> str:
    """Return a text with the password masked: some servers repeat the line that they refuse."""
    if server.password:
        for secret in (_base64(_plain(server)), _base64(server.password), server.password):
            text = text.replace(secret, "***")
    return text


def _is_about_mechanism(reply: Reply) -> bool:
    """Return whether the server refused the mechanism, not the password.

    534 means that the mechanism is too weak (RFC 4954, section 6), but some servers use it for problems of the account.
    """
    return reply.code in _NOT_UNDERSTOOD or (reply.code == 534 and "mechanism" in reply.text.lower())


def _plain(server: SmtpServer) -> str:
    return f"\0{server.user}\0{server.password}"


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()
