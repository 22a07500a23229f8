"""Recipients of push messages: `fcm:<token>`, `apns:<device token>` and `webpush:<URL of the subscription>`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_network
from urllib.parse import urlsplit

from actors.channels.webhook.url_guard import Target
from settings.callbacks import Network
from settings.providers import Provider

KINDS = ("fcm", "apns", "webpush")
ANYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))  # where no URL is called
_FCM_TOKEN = re.compile(r"[A-Za-z0-9_:.%=-]{1,1024}")
_APNS_TOKEN = re.compile(r"(?:[0-9a-f]{2}){32,100}")
_SHOWN = 6  # characters of a token that logs show


def kind_of(recipient: str) -> str:
    """Return the kind of a recipient: the text before the colon, normally one of KINDS."""
    return recipient.partition(":")[0]


def reached(account: Provider) -> str:
    """Return how the recipients begin that an account reaches; empty if it reaches all."""
    return f"{account.scheme}:" if account.scheme in KINDS else ""


def token_of(recipient: str) -> str:
    """Return a recipient without its kind."""
    return recipient.partition(":")[2]


def normalised(recipient: str, networks: Sequence[Network]) -> str:
    """Return a recipient in the one form in which it is stored. `networks`: private ones that URLs may lead to.

    Raises:
        ValueError: It is malformed. The text continues a sentence that begins with the field's name.
    """
    kind, _, token = recipient.partition(":")
    match kind:
        case "fcm" if _FCM_TOKEN.fullmatch(token):
            return recipient
        case "apns" if _APNS_TOKEN.fullmatch(token.lower()):
            return f"apns:{token.lower()}"
        case "webpush":
            Target.parse(token, networks)
            return recipient
        case "fcm":
            raise ValueError("must have a registration token of at most 1,024 letters, digits and _:.%=- after fcm:")
        case "apns":
            raise ValueError("must have a device token of 64 to 200 hexadecimal digits after apns:")
    raise ValueError("must begin with fcm:, apns: or webpush:")


def masked(recipient: str) -> str:
    """Return a recipient for logs, without the part that would allow sending to it."""
    kind, _, token = recipient.partition(":")
    if kind == "webpush":
        return f"webpush:{urlsplit(token).scheme}://{urlsplit(token).hostname}/..."
    return f"{kind}:{token[:_SHOWN]}..."
