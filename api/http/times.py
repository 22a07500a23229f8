"""Times as RFC 3339 has them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

# What Python takes for a time in ISO 8601 is much more.
_RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})", re.ASCII | re.IGNORECASE)


class NoTime(ValueError):
    """Why it is none."""


def moment(raw: str) -> datetime:
    """The time in UTC, to the microsecond; raises NoTime."""
    try:
        if _RFC_3339.fullmatch(raw):
            return datetime.fromisoformat(raw.upper()).astimezone(UTC)
    except OverflowError:
        raise NoTime("is out of range") from None
    except ValueError:  # It looks like a time, but there is none such.
        pass
    raise NoTime("must be a time as RFC 3339 has it, e.g. 2024-01-01T10:00:00Z")
