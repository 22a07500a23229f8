"""Read the filters of a list as a form sends them, and show them in the form again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

SPANS = (("Last hour", 3_600), ("last day", 86_400), ("last week", 604_800))
ONE = ("q", "recipient")  # parameters of which the last value counts
# The value of <input type="datetime-local">. It has no time zone, so the page says UTC.
_LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")


def given(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the filters that are not empty, with times in the format of the API."""
    found = {}
    for name, value in params.items():
        text = value[-1] if isinstance(value, list) else value
        if text == "":
            continue
        found[name] = value if isinstance(value, list) and name not in ONE else text.strip()
        if name in ("createdFrom", "createdTo") and _LOCAL.fullmatch(text):
            found[name] = f"{text}{'' if text.count(':') > 1 else ':00'}Z"
    return found


def since(chosen: Mapping[str, Any], seconds: int) -> dict[str, Any]:
    """Return these filters for the last `seconds`, to the minute."""
    begin = datetime.now(UTC) - timedelta(seconds=seconds)
    rest = {name: value for name, value in chosen.items() if name != "createdTo"}
    return {**rest, "createdFrom": begin.strftime("%Y-%m-%dT%H:%M:00Z")}


def shown(value: Any) -> str:
    """Return a filter as the value of its field in the form."""
    text = str(value[-1] if isinstance(value, list) else value)
    return text.removesuffix("Z") if _LOCAL.fullmatch(text.removesuffix("Z")) else text
