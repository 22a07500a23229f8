"""Write a request to the API as a curl command."""

from __future__ import annotations

import shlex

from falcon.asgi import Request

from settings import Settings


def get(req: Request, settings: Settings, path: str) -> str:
    """Return the command that reads a path, at PUBLIC_URL or at the address of this request.

    The key is a variable for the reader's own: a session has none to show.
    """
    begin = settings.public.url.rstrip("/") or f"{req.scheme}://{req.netloc}{settings.public.path_prefix}"
    key = "" if settings.http.auth == "off" else ' -H "Authorization: Bearer $NOTIFY_KEY"'
    return f"curl{key} {shlex.quote(begin + path)}"
