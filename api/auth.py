"""Who asks, and what that one may do."""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple

from falcon.asgi import Request

from api.problems import Problem


class Caller(NamedTuple):
    """The client that a request comes from, and what its key allows."""

    client_id: int = 1
    client: str = "default"
    scopes: frozenset[str] = frozenset({"send", "read", "manage", "admin"})
    sandbox: bool = False


def require(req: Request, scope: str) -> Caller:
    """Who asks; raises Problem 403 where the key has not this scope."""
    caller: Caller = getattr(req.context, "caller", Caller())
    if scope not in caller.scopes:
        raise Problem(HTTPStatus.FORBIDDEN, f"This key has not the scope {scope}.")
    return caller
