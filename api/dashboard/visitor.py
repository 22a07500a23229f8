"""Who looks at a page, and what a browser holds of that."""

from __future__ import annotations

import hashlib
import secrets
from typing import NamedTuple

from falcon.asgi import Request, Response

from api.access.auth import Caller
from api.dashboard import cookies

SESSION = "notify_session"
CHOSEN = "notify_client"  # the id of the client that an admin looks at


class Visitor(NamedTuple):
    """`secret`: what the cookie of this browser holds; forms are known by it. `digest`: of a session, if it is one."""

    caller: Caller
    secret: str
    digest: bytes | None = None


def may_choose(caller: Caller) -> bool:
    """Whether it may look at other clients."""
    return "admin" in caller.scopes and not caller.sandbox


def digest_of(secret: str) -> bytes:
    """What is stored of a session."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def begin(req: Request, resp: Response, seconds: float | None = None) -> str:
    """A new secret for this browser."""
    secret = secrets.token_urlsafe(32)
    cookies.put(req, resp, SESSION, secret, seconds=None if seconds is None else int(seconds))
    return secret
