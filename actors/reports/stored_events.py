"""Events as JSON, in which form the database keeps them until a worker reads them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from actors.reports.event import Event


def to_json(event: Event) -> dict[str, Any]:
    """Return an event as it is stored."""
    return {**event._asdict(), "at": event.at and event.at.isoformat()}


def from_json(stored: dict[str, Any]) -> Event:
    """Return a stored event."""
    return Event(**{**stored, "at": datetime.fromisoformat(stored["at"]) if stored["at"] else None})
