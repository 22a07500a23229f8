"""Log in at a mail server: AUTH PLAIN (RFC 4616), else AUTH LOGIN.

CRAM-MD5 and the like are left out: over TLS, which a password requires here, they protect nothing more.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Awaitable, Callable

from actors.channels import ProviderDown
from actors.channels.email.answers import Reply
from settings import SmtpServer

_NOT_UNDERSTOOD = (500, 501, 502, 503, 504)


async def log_in(say: Callable[[str], Awaitable[Reply]], server: SmtpServer, offered: str) -> Reply:
    """Return the answer of the server, whose EHLO `offered` these mechanisms. A password is tried once, or accounts
    get locked: LOGIN follows PLAIN only where the server has not looked at the password.

    Raises:
        ProviderDown: it offers nothing that we can do.
    """
    mechanisms = offered.upper().split()
    if "PLAIN" in mechanisms:
        reply = await say(f"AUTH PLAIN {_base64(_plain(server))}")
        if reply.code == 334:  # It has overlooked what came with the command (RFC 4954, 4), and asks for it.
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
    """Without the password: some servers repeat the line that they refuse."""
    if server.password:
        for secret in (_base64(_plain(server)), _base64(server.password), server.password):
            text = text.replace(secret, "***")
    return text


def _is_about_mechanism(reply: Reply) -> bool:
    """534 says that the mechanism is too weak (RFC 4954, 6), but some say with it what is wrong with the account."""
    return reply.code in _NOT_UNDERSTOOD or (reply.code == 534 and "mechanism" in reply.text.lower())


def _plain(server: SmtpServer) -> str:
    return f"\0{server.user}\0{server.password}"


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()
