"""Who asks: stands here until the merge brings the whole of it."""

from __future__ import annotations

from typing import NamedTuple

from falcon.asgi import Request


class Caller(NamedTuple):
    """Whom a request comes from and what they may do."""

    client_id: int = 1
    client: str = "default"
    scopes: frozenset[str] = frozenset({"send", "read", "manage", "admin"})
    sandbox: bool = False


def require(req: Request, scope: str) -> Caller:
    """The caller, who has this scope."""
    caller: Caller = getattr(req.context, "caller", Caller())
    assert scope in caller.scopes  # noqa: S101
    return caller
