"""Kinds of operations: those that read, those that send notifications, and those that change something else."""

from __future__ import annotations

from falcon.asgi import Request

READING = frozenset({"GET", "HEAD", "OPTIONS"})
SENDING = frozenset({"/api/notifications", "/api/notifications/batch"})  # with POST


def mark_reading(req: Request) -> None:
    """Record that a request only reads, whatever its method: a preview or a dry run."""
    req.context.only_reads = True


def undone(req: Request) -> str:
    """Return the end of a sentence that says what a refused request has left undone; "" if it only reads."""
    if req.method in READING or getattr(req.context, "only_reads", False):
        return ""
    return "; nothing was stored" if req.path in SENDING else "; nothing was changed"
