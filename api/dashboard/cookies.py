"""Cookies of the dashboard: no script reads them, no other site sends them."""

from __future__ import annotations

from falcon.asgi import Request, Response


def put(req: Request, resp: Response, name: str, value: str, *, seconds: int | None = None) -> None:
    """For so long, or until the browser ends; over HTTPS only where the page came over HTTPS."""
    secure = req.scheme == "https"
    resp.set_cookie(name, value, max_age=seconds, secure=secure, http_only=True, same_site="Strict", path="/")


def drop(req: Request, resp: Response, name: str) -> None:
    """The browser forgets it."""
    put(req, resp, name, "", seconds=0)
