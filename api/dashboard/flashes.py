"""What the next page says of what was just done. The browser carries a code and numbers, never a text."""

from __future__ import annotations

import re

from falcon.asgi import Request, Response

from api.dashboard import cookies

NAME = "notify_flash"
_CODE = re.compile(r"([a-z-]{1,40})((?:\.\d{1,19}){0,3})\Z")
_KEPT = 60  # seconds

# By code: what is said, with the numbers in their order.
TEXTS = {
    "logged-in": "You are logged in.",
    "logged-out": "You are logged out.",
    "key-revoked": "Key {} is revoked.",
    "client-made": "The client is made. Make it a key next, after you have switched to it.",
    "client-changed": "Saved; in force within a second.",
    "client-disabled": "The client is switched off.",
    "client-enabled": "The client is switched on.",
    "suppressed": "The address is on the list.",
    "suppressed-before": "The address was on the list already.",
    "unsuppressed": "The address is removed from the list.",
    "retried": "It is pending again, with all of its attempts.",
    "retried-many": "Pending again: {}.",
    "cancelled": "It is cancelled, and never sent.",
    "resent": "This is a new notification, with the content of {}.",
    "switched": "You now look at another client's notifications.",
}


def put(req: Request, resp: Response, code: str, *numbers: int) -> None:
    """To be said by the page that this answer leads to."""
    value = ".".join([code, *map(str, numbers)])
    cookies.put(req, resp, NAME, value, seconds=_KEPT)


def take(req: Request, resp: Response) -> str | None:
    """What there is to say, once."""
    found = _CODE.match(req.cookies.get(NAME, ""))
    if found is None or found[1] not in TEXTS:
        return None
    cookies.drop(req, resp, NAME)
    try:
        return TEXTS[found[1]].format(*found[2].split(".")[1:])
    except IndexError:  # Numbers that somebody has left out.
        return None
