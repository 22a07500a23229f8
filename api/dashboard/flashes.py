"""The message that the next page shows after an action. The cookie carries a code and numbers, never a text."""

from __future__ import annotations

import re

from falcon.asgi import Request, Response

from api.dashboard import cookies

NAME = "notify_flash"
_CODE = re.compile(r"([a-z-]{1,40})((?:\.\d{1,19}){0,3})\Z")
_KEPT = 60  # seconds

# Messages by code, with a place for each number.
TEXTS = {
    "logged-in": "You are logged in.",
    "logged-out": "You are logged out.",
    "key-revoked": "Key {} is revoked.",
    "client-made": "The client is created. To create a key for it, choose the client at the top right first.",
    "client-changed": "Saved. The changes take effect within a second.",
    "client-disabled": "The client is disabled.",
    "client-enabled": "The client is enabled.",
    "suppressed": "The address is on the list.",
    "suppressed-before": "The address was already on the list.",
    "unsuppressed": "The address is removed from the list.",
    "domain-added": "The domain is added. Publish the records, then check.",
    "domain-checked": "DNS was asked. A new key that was found signs from the next minute on.",
    "domain-rotated": "Publish the records of the new keys, then check. Keep the old ones for a week after that.",
    "domain-removed": "The domain is removed. Its mails are no longer signed.",
    "retried": "The notification is pending again, with all of its attempts.",
    "retried-many": "Notifications that are pending again: {}.",
    "retried-selected": "Notifications that are pending again: {}. Skipped: {}.",
    "cancelled-selected": "Notifications that are cancelled: {}. Skipped: {}.",
    "cancelled": "The notification is cancelled and will not be sent.",
    "delivery-retried": "The callback is pending again, with all of its attempts.",
    "deliveries-retried": "Callbacks that are pending again: {}.",
    "deliveries-left": "Callbacks that are pending again: {}. There are more: retry again.",
    "callback-tested": "A test is on its way. Reload the page to see the answer.",
    "callback-disabled": "The endpoint is disabled.",
    "callback-enabled": "The endpoint is enabled.",
    "destination-deleted": "The destination is deleted.",
    "paused": "Paused. Notifications are accepted and stored, but not sent.",
    "resumed": "Resumed. What has waited is sent, the oldest first.",
    "provider-disabled": "The provider is disabled. Workers follow within a second.",
    "provider-enabled": "The provider is enabled. Workers follow within a second.",
    "provider-weighed": "The weight is set. Workers follow within a second.",
    "resent": "This is a new notification with the content of notification {}.",
    "switched": "The pages now show another client.",
}


def put(req: Request, resp: Response, code: str, *numbers: int) -> None:
    """Store a message for the page to which this answer redirects."""
    value = ".".join([code, *map(str, numbers)])
    cookies.put(req, resp, NAME, value, seconds=_KEPT)


def take(req: Request, resp: Response) -> str | None:
    """Return the stored message, if there is one, and delete it."""
    found = _CODE.match(req.cookies.get(NAME, ""))
    if found is None or found[1] not in TEXTS:
        return None
    cookies.drop(req, resp, NAME)
    try:
        return TEXTS[found[1]].format(*found[2].split(".")[1:])
    except IndexError:  # Somebody changed the cookie and left out numbers.
        return None
