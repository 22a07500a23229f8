"""Times on the command line.

Options take RFC 3339 or a span of time. Tables and sentences for people show `2030-01-02 03:04:05Z`, always in UTC.
JSON for programs has RFC 3339, `2030-01-02T03:04:05.678901Z`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

_SPAN = re.compile(r"(\d{1,6})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_AS_SHOWN = re.compile(r"(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2}\S*)", re.ASCII)


class Moment(click.ParamType[str]):
    """A span such as 90s, 10m, 2h or 1d, counted from now, backwards with `ago`; or a time, which the API checks."""

    name = "time"

    def __init__(self, *, ago: bool = False) -> None:
        self._sign = -1 if ago else 1

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the time as the API takes it (RFC 3339)."""
        span = _SPAN.fullmatch(value)
        if span is None:
            return _AS_SHOWN.sub(r"\1T\2", value)
        try:
            moment = datetime.now(UTC) + self._sign * timedelta(**{_UNITS[span[2]]: int(span[1])})
        except OverflowError:
            self.fail(f"{value} is too long a span: no calendar has that time", param, ctx)
        return moment.isoformat()


def readable(time: datetime | str) -> str:
    """Return a time as people read it. A text that is no time of RFC 3339 is returned unchanged."""
    if isinstance(time, str):
        try:
            return readable(datetime.fromisoformat(time)) if "T" in time else time
        except ValueError:
            return time
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


def span(seconds: float) -> str:
    """Return a span of time as people read it: 0 s, 59 s, 12 min, 3.5 h, 2.1 d."""
    for size, unit, digits in ((86_400, "d", 1), (3_600, "h", 1), (60, "min", 0)):
        if seconds >= size:
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds:.0f} s"
