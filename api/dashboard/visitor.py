"""The visitor of a page, and the secret in its cookie."""

from __future__ import annotations

import hashlib
import secrets
from typing import NamedTuple

from falcon.asgi import Request, Response

from api.access.auth import Caller
from api.dashboard import cookies

SESSION = "notify_session"
CHOSEN = "notify_client"  # the id of the client that an admin has chosen


class Visitor(NamedTuple):
    """A caller, the secret of its cookie (form tokens derive from it), and the digest of its session, if any."""

    caller: Caller
    secret: str
    digest: bytes | None = None


def may_choose(caller: Caller) -> bool:
    """Return whether the caller may choose another client."""
    return "admin" in caller.scopes and not caller.sandbox


def digest_of(secret: str) -> bytes:
    """Return the digest that the database stores for a session."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def begin(req: Request, resp: Response, seconds: float | None = None) -> str:
    """Create a new secret and put it into the cookie."""
    secret = secrets.token_urlsafe(32)
    cookies.put(req, resp, SESSION, secret, seconds=None if seconds is None else int(seconds))
    return secret
