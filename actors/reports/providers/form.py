"""Form fields in a request (application/x-www-form-urlencoded)."""

from __future__ import annotations

from urllib.parse import parse_qsl

from actors.reports.providers.received import Malformed

LIMIT = 100_000  # bytes
_FIELDS = 500


def pairs(body: bytes) -> list[tuple[str, str]]:
    """Return the names and values in a form; raise Malformed if there is none, or if it is too large."""
    if len(body) > LIMIT:
        raise Malformed(f"the form has more than {LIMIT} bytes")
    try:
        found = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS, errors="strict")
    except ValueError:
        raise Malformed("the body is not a form with fields in UTF-8") from None
    if not found:
        raise Malformed("the body is not a form")
    return found
