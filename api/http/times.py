"""Times in the format of RFC 3339."""

from __future__ import annotations

import re
from datetime import UTC, datetime

# datetime.fromisoformat accepts many more formats of ISO 8601.
_RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})", re.ASCII | re.IGNORECASE)


class NoTime(ValueError):
    """A text is not a time; the message says why."""


def moment(raw: str) -> datetime:
    """Return the time in UTC, to the microsecond; raise NoTime."""
    try:
        if _RFC_3339.fullmatch(raw):
            return datetime.fromisoformat(raw.upper()).astimezone(UTC)
    except OverflowError:
        raise NoTime("is out of range") from None
    except ValueError:  # It has the form of a time, but no such time exists.
        pass
    raise NoTime("must be a time in the format of RFC 3339, such as 2024-01-01T10:00:00Z")


def exact(time: datetime) -> str:
    """Return a time in UTC in the format of RFC 3339, as 2024-01-01T10:00:00.123456Z."""
    return time.isoformat().replace("+00:00", "Z")
