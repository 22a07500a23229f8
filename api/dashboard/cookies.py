"""Cookies of the dashboard: HttpOnly and SameSite=Strict."""

from __future__ import annotations

from falcon.asgi import Request, Response


def put(req: Request, resp: Response, name: str, value: str, *, seconds: int | None = None) -> None:
    """Set a cookie for `seconds`, or until the browser ends. It is Secure if the request came over HTTPS."""
    secure = req.scheme == "https"
    resp.set_cookie(name, value, max_age=seconds, secure=secure, http_only=True, same_site="Strict", path="/")


def drop(req: Request, resp: Response, name: str) -> None:
    """Delete a cookie."""
    put(req, resp, name, "", seconds=0)
