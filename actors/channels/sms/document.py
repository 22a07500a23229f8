"""Read documents of text messages: checks beyond the schema, and the stored form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from actors.channels.contract import Content, Fault, Read, Rights
from actors.channels.sms.numbers import NoNumber, normalised
from actors.channels.sms.segments import GSM_7, measure, outside_gsm
from actors.channels.sms.senders import PREFIX, NoSender, normalised_sender
from actors.channels.sms.text import pair

MAX_SEGMENTS = 10  # the most that Twilio takes; the default
NAMED = 3  # characters outside GSM-7 that a fault names


def read(document: Mapping[str, Any], rights: Rights) -> Read:
    """Return the content of a text message, or its faults."""
    faults: list[Fault] = []
    number = sender = ""
    try:
        number = normalised(document["recipient"], rights.region) if "recipient" in document else ""
    except NoNumber as error:
        faults.append({"pointer": "/recipient", "detail": str(error)})
    try:
        sender = _allowed(document["from"], rights) if "from" in document else ""
    except NoSender as error:
        faults.append({"pointer": "/from", "detail": str(error)})
    faults += _length(document)
    if faults or not number or "message" not in document:  # The schema has found the other faults.
        return Read(None, faults)
    encoding, segments = measure(document["message"])
    most = document.get("maxSegments", MAX_SEGMENTS)
    options = {"maxSegments": most, "encoding": encoding, "segments": segments} | ({"from": sender} if sender else {})
    return Read(Content(number, "", document["message"], None, options, (number, pair(number, sender))), [])


def shown(options: Mapping[str, Any] | None, _message: str = "") -> dict[str, Any]:
    """Return the column `mail` of a text message as fields of the notification."""
    return {name: (options or {}).get(name) for name in ("from", "maxSegments", "encoding", "segments")}


def _allowed(given: str, rights: Rights) -> str:
    """Return the sender in its normal form; raise NoSender if the client may not use it."""
    sender = normalised_sender(given)
    if PREFIX + sender not in rights.senders:
        raise NoSender(f"must be one of the client's `senders`, in which it is written as {PREFIX}{sender}")
    return sender


def _length(document: Mapping[str, Any]) -> Iterator[Fault]:
    if "message" not in document:
        return
    encoding, segments = measure(document["message"])
    most = document.get("maxSegments", MAX_SEGMENTS)
    if segments > most:
        because = "" if encoding == GSM_7 else f", because GSM-7 does not have {_named(document['message'])}"
        detail = f"has {segments} segments in {encoding}{because}; maxSegments is {most}: shorten it, or allow more"
        yield {"pointer": "/message", "detail": detail}


def _named(text: str) -> str:
    """Return the first characters outside GSM-7, such as `ç` (U+00E7)."""
    return ", ".join(f"{c!r} (U+{ord(c):04X})" for c in outside_gsm(text, NAMED))
