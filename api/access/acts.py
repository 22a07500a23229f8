"""Who a request comes from, for the audit log."""

from __future__ import annotations

from falcon.asgi import Request

from api.access.auth import Caller
from db.audit import By
from runtime import logs


def by(req: Request) -> By:
    """The key that it came with, or anybody where AUTH is off; and the peer's address, a proxy's where there is one."""
    caller: Caller = req.context.caller
    actor = "anybody" if caller.key_id is None else "key"
    return By(actor, caller.key_id, None, req.remote_addr, logs.bound("request_id"))
