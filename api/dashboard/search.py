"""Read what a person typed into the search box, and say how it was understood."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlencode

from actors.channels.addresses import normalised
from api.http.problems import invalid
from db.search import ADDRESSES, Search, Understood

BOX = "q"  # the parameter of the search box
LONGEST = 254  # characters
REASONS = ("rejected", "exhausted", "expired", "outcome-unknown", "suppressed")
_ID = re.compile(r"#?\s*(\d{1,19})", re.ASCII)
_METADATA = re.compile(r"([\w.-]+)=(.+)", re.ASCII | re.DOTALL)
# Words before a colon, each with the kind that it asks for.
_ASKED = {"to": "recipient", "tag": "tag", "template": "template", "reason": "reason"}
_ASKED |= {"subject": "subject", "part": "part"}


class Other(NamedTuple):
    """Another way to understand what was typed: its name, and what to type for it."""

    name: str
    text: str


def id_in(text: str) -> str | None:
    """Return the id of a notification if that is all that was typed."""
    found = _ID.fullmatch(text.removeprefix("id:").strip())
    return found[1] if found else None


def parse(text: str) -> Search:
    """Return the search for a text; raise a Problem if it cannot be searched for."""
    if len(text) > LONGEST or "\0" in text or "\ufffd" in text:
        detail = f"must have up to {LONGEST} characters in UTF-8, without U+0000"
        raise invalid(HTTPStatus.BAD_REQUEST, [{"parameter": BOX, "detail": detail}])
    word, colon, rest = text.partition(":")
    if colon and rest.strip() and (kind := _ASKED.get(word.lower())):
        return _search(kind, rest.strip())
    if (found := _METADATA.fullmatch(text)) is not None:
        return Search("metadata", found[2], found[1])
    kind = _kind(text)
    return _search(kind, text.removeprefix("@") if kind == "domain" else text)


def _search(kind: str, text: str) -> Search:
    if kind == "domain":
        # A domain is stored as the client has written it: usually in lower case, in ASCII or in its own script.
        return Search(kind, text.lower())
    return Search(kind, text, normalised(text) if kind == "recipient" else "")


def _kind(text: str) -> str:
    if len(text.split()) > 1:
        return "subject"
    if text.startswith("@") and len(text) > 1:
        return "domain"
    if "@" in text:
        return "recipient"
    return "reason" if text in REASONS else "word"


def sentence(understood: Understood) -> str:
    """Return in words what was searched for."""
    search = understood.search
    if search.kind == "recipient":
        return f"To {search.value}…" if understood.beginning else f"To {search.value}"
    if search.kind == "metadata":
        return f"With the metadata {search.key} = {search.value}"
    return _SENTENCES[search.kind].format(search.value)


def caution(understood: Understood) -> str | None:
    """Return what the reader must know about the result."""
    if understood.cut:
        return f"More than {ADDRESSES} recipients begin so; these are of {ADDRESSES}. Type more of the address."
    return None


def others(understood: Understood) -> list[Other]:
    """Return the other ways to understand the same text."""
    search = understood.search
    text = {"metadata": f"{search.key}={search.value}", "domain": f"@{search.value}"}.get(search.kind, search.value)
    return [
        Other(name, f"{word}:{text}")
        for word, (kind, name) in _OTHERS.items()
        if kind != search.kind and (kind != "reason" or text in REASONS)
    ]


def link(text: str) -> str:
    """Return the query of a search."""
    return urlencode({BOX: text})


_SENTENCES = {
    "domain": "To recipients at {}",
    "tag": "With the tag {}",
    "template": "Made from the template {}",
    "reason": "Failed as {}",
    "subject": "With these words in the subject: {}",
    "part": "With these parts of words in the subject: {}",
}
_OTHERS = {
    "to": ("recipient", "recipient"),
    "subject": ("subject", "subject"),
    "part": ("part", "part of the subject"),
    "tag": ("tag", "tag"),
    "template": ("template", "template"),
    "reason": ("reason", "failure reason"),
}
