"""What only mails have (from, copies, headers, attachments ...): what its schema cannot check, and how it is kept."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from actors.channels.email.addresses import exact, normalised
from actors.channels.email.mailboxes import mail_from, split
from api.schemas import Fault, attachments, escaped
from settings import PROVIDER_HEADERS, RESERVED_HEADERS, Settings, SettingsError

KEPT = ("from", "replyTo", "recipientName", "cc", "bcc", "headers", "unsubscribe")
FIELDS = {*KEPT, "attachments"}
NONE: dict[str, Any] = {
    "from": None,
    "replyTo": None,
    "recipientName": None,
    "cc": [],
    "bcc": [],
    "headers": {},
    "unsubscribe": None,
    "attachments": [],
}


_MESSAGE_IDS = re.compile(r"<[!-;=?-~]{1,250}>(?: <[!-;=?-~]{1,250}>)*")
_LIST_ID = re.compile(r"[^<>]*<[!-;=?-~]{1,250}>")


class Extras(NamedTuple):
    """`mail` is JSON for `notifications.mail`, None where there is nothing to keep; `contents` are the attachments'."""

    faults: list[Fault]
    mail: str | None = None
    contents: tuple[bytes, ...] = ()


NOTHING = Extras([])


class Mails:
    """The rules of this installation."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._headers, self._exact = settings.header_rules, settings.exact_headers
        self._attachments = attachments.Rules(settings)
        try:
            self._own = exact(mail_from(settings.sender).address)
        except SettingsError:  # An API that only accepts needs none of what workers need.
            self._own = ""

    def read(self, document: Any, senders: Collection[str], found: Sequence[Fault]) -> Extras:
        """What a document asks for beyond the common; `senders` are those that the client may use besides MAIL_FROM.

        `found` is what its schema has found: fields at fault are not looked at again.
        """
        if not isinstance(document, dict) or FIELDS.isdisjoint(document):
            return NOTHING
        wrong = {fault["pointer"].split("/")[1] for fault in found if fault["pointer"]}
        sound = {name: value for name, value in document.items() if name not in wrong}
        faults = [*self._from(sound, senders), *self._copies(sound), *self._named(sound), *self._leaving(sound)]
        files = self._attachments.read(sound.get("attachments", ()), html="html" in document or "template" in document)
        faults += files.faults
        kept = {name: document[name] for name in KEPT if name in document}
        if files.shown:
            kept["attachments"] = files.shown
        return Extras(faults, orjson.dumps(kept).decode(), files.contents)

    def _from(self, document: Mapping[str, Any], senders: Collection[str]) -> Iterator[Fault]:
        if "from" not in document:
            return
        key = exact(split(document["from"])[1])
        allowed = {self._own, *map(_sender, senders)} - {""}
        if not allowed & {key, "@" + key.rpartition("@")[2]}:
            detail = "must be MAIL_FROM's own address or one that this client may send from"
            yield {"pointer": "/from", "detail": detail}

    def _copies(self, document: Mapping[str, Any]) -> Iterator[Fault]:
        """Each recipient once: a mail that comes twice is what we are here to avoid."""
        places = [("/recipient", document["recipient"])] if "recipient" in document else []
        for name in ("cc", "bcc"):
            places += [(f"/{name}/{n}", split(text)[1]) for n, text in enumerate(document.get(name, ()))]
        most = self._settings.recipients_limit
        if len(places) > most:
            field = "/bcc" if document.get("bcc") else "/cc"
            detail = f"there may be {most} recipients, cc and bcc included; there are {len(places)}"
            yield {"pointer": field, "detail": detail}
            return
        seen = set()
        for pointer, address in places:
            key = normalised(address)
            if key in seen:
                yield {"pointer": pointer, "detail": "is a recipient of this mail already"}
            seen.add(key)

    def _leaving(self, document: Mapping[str, Any]) -> Iterator[Fault]:
        if document.get("unsubscribe") is not True:
            return
        if not self._settings.public_url:
            detail = "cannot be true while PUBLIC_URL is not set: give an object with a url of your own"
            yield {"pointer": "/unsubscribe", "detail": detail}
        elif document.get("cc") or document.get("bcc"):
            # Whoever of them clicks, it would be the recipient who leaves (RFC 8058, 3.1).
            detail = "cannot be true with cc or bcc: the link is the recipient's own"
            yield {"pointer": "/unsubscribe", "detail": detail}

    def _named(self, document: Mapping[str, Any]) -> Iterator[Fault]:
        seen = set()
        for name, value in document.get("headers", {}).items():
            key = name.lower()
            if detail := self._unnamed(name, key) or ("is given twice" if key in seen else _value_fault(key, value)):
                yield {"pointer": f"/headers/{escaped(name)}", "detail": detail}
            else:
                seen.add(key)

    def _unnamed(self, name: str, key: str) -> str | None:
        """Return why a header of this name may not be given."""
        if key in RESERVED_HEADERS or key.startswith(("content-", "resent-", "arc-")):
            return "is written by this system and cannot be given"
        if not self._headers.fullmatch(name):
            return f"is not among the headers that may be given: {self._settings.allowed_headers}"
        if PROVIDER_HEADERS.fullmatch(key) and key not in self._exact:
            return (
                "gives orders to a mail provider, so X-* does not allow it: "
                f"leave it out, or have the operator add {name} to ALLOWED_HEADERS"
            )
        return None


def _value_fault(key: str, value: str) -> str | None:
    if key in ("references", "in-reply-to") and not _MESSAGE_IDS.fullmatch(value):
        return "must be message ids such as <id@example.com>, a space between each"
    if key == "list-id" and not value.isascii() and not _LIST_ID.fullmatch(value):
        return "must be a name and <list.example.com> behind it, the latter in ASCII"
    return None


def unshown(document: Mapping[str, Any]) -> list[Fault]:
    """What is wrong with a checked document whose template turned out to have no HTML."""
    if "html" in document:
        return []
    files = enumerate(document.get("attachments", ()))
    detail = "needs html, which this template does not have"
    return [{"pointer": f"/attachments/{n}/contentId", "detail": detail} for n, file in files if "contentId" in file]


def shown(mail: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a notification's `mail` holds, as fields of the notification."""
    return NONE if mail is None else {**NONE, **mail}


def _sender(text: str) -> str:
    """An address or `@domain` that a client may send from, to compare with; empty for what is neither."""
    try:
        return exact(f"x{text}")[1:] if text.startswith("@") else exact(text)
    except ValueError:
        return ""
