"""The navigation bar of every page."""

from __future__ import annotations

from typing import NamedTuple

import settings
from api.access.auth import Caller


class Entry(NamedTuple):
    """A link in the navigation bar, shown to keys that have `scope`."""

    title: str
    path: str
    scope: str = "read"


ENTRIES = (
    Entry("Overview", "/"),
    Entry("Notifications", "/notifications"),
    Entry("Failures", "/failures"),
    Entry("History", "/history"),
    Entry("Callbacks", "/callbacks", "manage"),
    Entry("Destinations", "/destinations", "manage"),
    Entry("Templates", "/templates"),
    Entry("Suppressions", "/suppressions"),
    Entry("Domains", "/domains"),
    Entry("Pauses", "/pauses"),
    Entry("Providers", "/providers", "admin"),
    Entry("Keys", "/keys", "manage"),
    Entry("Audit", "/audit", "manage"),
    Entry("Clients", "/clients", "admin"),
    Entry("Inbox", "/inbox", "admin"),
)


def entries(caller: Caller) -> list[Entry]:
    """Return the links that this caller may use."""
    there = ENTRIES if settings.load().dashboard.caught_mail else ENTRIES[:-1]
    return [entry for entry in there if entry.scope in caller.scopes]


def is_at(entry: Entry, path: str) -> bool:
    """Return whether the page at `path` belongs to this entry."""
    return path == entry.path or (entry.path != "/" and path.startswith(f"{entry.path}/"))
