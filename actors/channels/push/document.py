"""Read documents of push messages: checks beyond the schema, and the stored and shown form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from actors.channels.contract import Content, Fault, Read, Rights, pointer
from actors.channels.push.payloads import LIMITS, Push, size
from actors.channels.push.recipients import kind_of, normalised, token_of
from actors.channels.push.subscription import auth_secret, public_key
from settings.callbacks import Network

OPTIONS = ("data", "keys", "badge", "sound", "url", "registeredAt")
RESERVED = frozenset({"aps", "from", "message_type"})
RESERVED_BEGINNINGS = ("google", "gcm")
_LONGEST_ID = "9" * 19  # a bigint; Web Push messages carry it


class Reader:
    """Reads documents. `networks`: private ones in which the endpoints of subscriptions may be."""

    def __init__(self, networks: tuple[Network, ...]) -> None:
        self._networks = networks

    def read(self, document: Mapping[str, Any], _rights: Rights) -> Read:
        """Return the content of a document, or its faults; see `Channel.reader`."""
        faults = list(self._faults(document))
        if faults or not {"recipient", "message"} <= document.keys():
            return Read(None, faults)
        recipient = normalised(document["recipient"], self._networks)
        options = {name: document[name] for name in OPTIONS if name in document}
        content = Content(recipient, document.get("subject", ""), document["message"], options=options or None)
        faults += _too_large(content)
        return Read(None if faults else content, faults)

    def _faults(self, document: Mapping[str, Any]) -> Iterator[Fault]:
        if "recipient" in document:
            try:
                normalised(document["recipient"], self._networks)
            except ValueError as error:
                yield _fault(str(error), "recipient")
            yield from _keys(document, kind_of(document["recipient"]))
        for name in document.get("data", {}):
            if name in RESERVED or name.startswith(RESERVED_BEGINNINGS):
                yield _fault("is a name that push services use themselves: choose another one", "data", name)
        if "url" in document and "url" in document.get("data", {}):
            yield _fault("is already given by the field url: leave out one of them", "data", "url")


def shown(options: Mapping[str, Any] | None, _message: str) -> dict[str, Any]:
    """Return the channel's own fields for answers. The keys of a subscription are not shown."""
    return {name: (options or {}).get(name) for name in OPTIONS if name != "keys"}


def _keys(document: Mapping[str, Any], kind: str) -> Iterator[Fault]:
    keys = document.get("keys")
    if keys is None:
        if kind == "webpush":
            yield _fault("are required for webpush: give p256dh and auth of the subscription", "keys")
    elif kind != "webpush":
        yield _fault("belong to webpush: only: leave them out", "keys")
    else:
        for name, check in (("p256dh", public_key), ("auth", auth_secret)):
            try:
                check(keys[name])
            except ValueError as error:
                yield _fault(str(error), "keys", name)


def _too_large(content: Content) -> Iterator[Fault]:
    kind = kind_of(content.recipient)
    token, options = token_of(content.recipient), content.options or {}
    taken = size(Push(_LONGEST_ID, "", kind, token, content.subject, content.message, options))
    if taken > LIMITS[kind]:
        detail = f"is too long: with subject, data and url it takes {taken} bytes, and {kind}: takes {LIMITS[kind]}"
        yield _fault(detail, "message")


def registered(options: Mapping[str, Any] | None) -> datetime | None:
    """Return when the app last registered its token, if the client said so."""
    given = (options or {}).get("registeredAt")
    if given is None:
        return None
    # RFC 3339 allows a leap second, and t and z.
    return datetime.fromisoformat(given.upper().replace(":60", ":59")).astimezone(UTC)


def _fault(detail: str, *fields: str) -> Fault:
    return {"pointer": pointer(*fields), "detail": detail}
