"""Origin of a request, for the audit log."""

from __future__ import annotations

from falcon.asgi import Request

from api.access.auth import Caller
from db.audit import By
from runtime import logs


def by(req: Request) -> By:
    """Return the key of a request (`anybody` with AUTH=off) and the peer's address, which may be a proxy's."""
    caller: Caller = req.context.caller
    actor = "anybody" if caller.key_id is None else "key"
    return By(actor, caller.key_id, None, req.remote_addr, logs.bound("request_id"))
