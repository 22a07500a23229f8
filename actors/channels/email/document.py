"""Fields that only mails have (from, cc, bcc, headers, attachments ...): checks beyond the schema, and storage."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from actors.channels.contract import Content, Fault, Read, Rights, pointer
from actors.channels.email.addresses import exact, normalised
from actors.channels.email.attachments import Rules
from actors.channels.email.mailboxes import mail_from, split
from settings import Settings, SettingsError
from settings.content import PROVIDER_HEADERS, RESERVED_HEADERS

DEFAULT_SUBJECT = "Notification"
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


class Mails:
    """Reads documents of mails, and checks their fields against the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._headers, self._exact = settings.content.header_rules, settings.content.exact_headers
        self._attachments = Rules(settings.content)
        try:
            self._own = exact(mail_from(settings.smtp.sender).address)
        except SettingsError:  # Only workers need MAIL_FROM.
            self._own = ""

    def read(self, document: Mapping[str, Any], rights: Rights) -> Read:
        """Return the content of a mail, or its faults.

        Without any of the FIELDS there is nothing to check, and nothing to keep as options.
        """
        if FIELDS.isdisjoint(document):
            return Read(_content(document), [])
        faults = [
            *self._from(document, rights.senders),
            *self._copies(document),
            *self._named(document),
            *self._leaving(document),
        ]
        unrendered = "template" in document and "message" not in document
        files = self._attachments.read(document.get("attachments", ()), html="html" in document or unrendered)
        if faults := faults + files.faults:
            return Read(None, faults)
        kept = {name: document[name] for name in KEPT if name in document}
        if files.shown:
            kept["attachments"] = files.shown
        return Read(_content(document, kept, files.contents), [])

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
        most = self._settings.content.recipients_limit
        if len(places) > most:
            field = "/bcc" if document.get("bcc") else "/cc"
            detail = f"gives {len(places)} recipients with `recipient`, cc and bcc; at most {most} are allowed"
            yield {"pointer": field, "detail": detail}
            return
        seen = set()
        for place, address in places:
            key = normalised(address)
            if key in seen:
                yield {"pointer": place, "detail": "is a recipient of this mail already: leave it out"}
            seen.add(key)

    def _leaving(self, document: Mapping[str, Any]) -> Iterator[Fault]:
        if document.get("unsubscribe") is not True:
            return
        if not self._settings.public.url:
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
                yield {"pointer": pointer("headers", name), "detail": detail}
            else:
                seen.add(key)

    def _unnamed(self, name: str, key: str) -> str | None:
        """Return why a header of this name is refused, or None."""
        if key in RESERVED_HEADERS or key.startswith(("content-", "resent-", "arc-")):
            return "is a header that this system writes: leave it out"
        if not self._headers.fullmatch(name):
            return f"is not an allowed header; ALLOWED_HEADERS has {self._settings.content.allowed_headers}"
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


def shown(mail: Mapping[str, Any] | None, _message: str = "") -> dict[str, Any]:
    """Return the column `mail` of a notification as fields of the notification."""
    return NONE if mail is None else {**NONE, **mail}


def _content(
    document: Mapping[str, Any], options: dict[str, Any] | None = None, attachments: tuple[bytes, ...] = ()
) -> Content | None:
    if "recipient" not in document or "message" not in document:  # The schema has found faults.
        return None
    recipient = document["recipient"]
    return Content(
        recipient,
        document.get("subject", DEFAULT_SUBJECT),
        document["message"],
        document.get("html"),
        options,
        _addresses(document, recipient),
        attachments,
    )


def _addresses(document: Mapping[str, Any], recipient: str) -> tuple[str, ...]:
    """Return all recipients in the suppression list's form; nothing if that is the recipient as written."""
    main = normalised(recipient)
    copies = [normalised(split(text)[1]) for name in ("cc", "bcc") for text in document.get(name, ())]
    return () if not copies and main == recipient else (main, *copies)


def _sender(text: str) -> str:
    """Return an address or @domain of a client's `senders` in the form for comparison, "" if it is neither."""
    try:
        return exact(f"x{text}")[1:] if text.startswith("@") else exact(text)
    except ValueError:
        return ""
