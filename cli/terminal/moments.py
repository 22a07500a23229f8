"""Times on the command line: as RFC 3339 has them, or how long from now or ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

_SPAN = re.compile(r"(\d{1,6})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Moment(click.ParamType[str]):
    """90s, 10m, 2h or 1d, taken from now on, or back with `ago`; else a time that the API will look at."""

    name = "time"

    def __init__(self, *, ago: bool = False) -> None:
        self._sign = -1 if ago else 1

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As the API wants it."""
        span = _SPAN.fullmatch(value)
        if span is None:
            return value
        try:
            moment = datetime.now(UTC) + self._sign * timedelta(**{_UNITS[span[2]]: int(span[1])})
        except OverflowError:
            self.fail(f"{value} is too long.", param, ctx)
        return moment.isoformat()


def span(seconds: float) -> str:
    """How long that is, for people: 0 s, 59 s, 12 min, 3.5 h, 2.1 d."""
    for size, unit, digits in ((86_400, "d", 1), (3_600, "h", 1), (60, "min", 0)):
        if seconds >= size:
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds:.0f} s"
