"""Who asks: stands in until requests are authenticated."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, NamedTuple

from api.problems import Problem


class Caller(NamedTuple):
    """The client that a request belongs to, and what its key may do."""

    client_id: int = 1
    client: str = "default"
    scopes: frozenset[str] = frozenset({"send", "read", "manage", "admin"})
    sandbox: bool = False


def require(req: Any, scope: str) -> Caller:
    """The caller, who may do what `scope` stands for; raises Problem 403."""
    caller: Caller = getattr(req.context, "caller", Caller())
    if scope not in caller.scopes:
        raise Problem(HTTPStatus.FORBIDDEN, f"This key has not the scope {scope}.")
    return caller
