"""Fields that only mails have (from, cc, bcc, headers, attachments ...): checks beyond the schema, and storage."""

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
    """Checked fields of a mail.

    `mail` is the JSON for `notifications.mail`, None if no such field was given; `contents` are the attachments' bytes.
    """

    faults: list[Fault]
    mail: str | None = None
    contents: tuple[bytes, ...] = ()


NOTHING = Extras([])


class Mails:
    """Checks the fields of mails against the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._headers, self._exact = settings.header_rules, settings.exact_headers
        self._attachments = attachments.Rules(settings)
        try:
            self._own = exact(mail_from(settings.sender).address)
        except SettingsError:  # Only workers need MAIL_FROM.
            self._own = ""

    def read(self, document: Any, senders: Collection[str], found: Sequence[Fault]) -> Extras:
        """Return the fields of a mail in this document, and their faults.

        `senders` are the addresses and @domains that the client may use besides MAIL_FROM. `found` are the faults that
        the schema has found: fields with faults are not checked again.
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
            detail = "must be the address of MAIL_FROM, or one of the client's `senders`"
            yield {"pointer": "/from", "detail": detail}

    def _copies(self, document: Mapping[str, Any]) -> Iterator[Fault]:
        """Yield a fault for each recipient that is given twice, or one if there are too many."""
        places = [("/recipient", document["recipient"])] if "recipient" in document else []
        for name in ("cc", "bcc"):
            places += [(f"/{name}/{n}", split(text)[1]) for n, text in enumerate(document.get(name, ()))]
        most = self._settings.recipients_limit
        if len(places) > most:
            field = "/bcc" if document.get("bcc") else "/cc"
            detail = f"gives {len(places)} recipients with `recipient`, cc and bcc; at most {most} are allowed"
            yield {"pointer": field, "detail": detail}
            return
        seen = set()
        for pointer, address in places:
            key = normalised(address)
            if key in seen:
                yield {"pointer": pointer, "detail": "is a recipient of this mail already: leave it out"}
            seen.add(key)

    def _leaving(self, document: Mapping[str, Any]) -> Iterator[Fault]:
        if document.get("unsubscribe") is not True:
            return
        if not self._settings.public_url:
            detail = "cannot be true because the setting PUBLIC_URL is empty: give an object with your own url"
            yield {"pointer": "/unsubscribe", "detail": detail}
        elif document.get("cc") or document.get("bcc"):
            # Whoever clicks, it is the recipient who would be unsubscribed (RFC 8058, 3.1).
            detail = "cannot be true with cc or bcc, because the link unsubscribes the recipient only"
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
        """Return why a header of this name is refused, or None."""
        if key in RESERVED_HEADERS or key.startswith(("content-", "resent-", "arc-")):
            return "is a header that this system writes: leave it out"
        if not self._headers.fullmatch(name):
            return f"is not an allowed header; ALLOWED_HEADERS has {self._settings.allowed_headers}"
        if PROVIDER_HEADERS.fullmatch(key) and key not in self._exact:
            return (
                "controls a mail provider, so X-* does not allow it: "
                f"leave it out, or have the operator add {name} to ALLOWED_HEADERS"
            )
        return None


def _value_fault(key: str, value: str) -> str | None:
    if key in ("references", "in-reply-to") and not _MESSAGE_IDS.fullmatch(value):
        return "must be message ids such as <id@example.com>, separated by one space"
    if key == "list-id" and not value.isascii() and not _LIST_ID.fullmatch(value):
        return "must be a name followed by <list.example.com>, the latter in ASCII"
    return None


def unshown(document: Mapping[str, Any]) -> list[Fault]:
    """Return the faults of a checked document whose template has no HTML but whose attachments have contentIds."""
    if "html" in document:
        return []
    files = enumerate(document.get("attachments", ()))
    detail = "needs html, which this template does not have"
    return [{"pointer": f"/attachments/{n}/contentId", "detail": detail} for n, file in files if "contentId" in file]


def shown(mail: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the column `mail` of a notification as fields of the notification."""
    return NONE if mail is None else {**NONE, **mail}


def _sender(text: str) -> str:
    """Return an address or @domain of a client's `senders` in the form for comparison, "" if it is neither."""
    try:
        return exact(f"x{text}")[1:] if text.startswith("@") else exact(text)
    except ValueError:
        return ""
