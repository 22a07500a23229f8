"""Sizes of the measurements, and their command line options."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Sizes of the measurements. Each field is an option. Times are in seconds, or milliseconds if the name says ms."""

    connections: tuple[int, ...] = (1, 16, 64)
    seconds: int = 5
    batches: tuple[int, ...] = (1, 100, 1_000)
    rate: float = 100
    latency_seconds: int = 10
    idle_posts: int = 10
    idle_gap: float = 2
    backlog: int = 20_000
    smtp_ms: tuple[float, ...] = (0, 20)
    channel_backlog: int = 20_000
    provider_ms: float = 20
    retries_backlog: int = 100_000
    retries_share: float = 0.1
    old_rows: tuple[int, ...] = (0, 1_000_000)
    processes: tuple[int, ...] = (1, 2, 3)
    priorities_backlog: int = 30_000


MEANING = {
    "connections": "connections of each accept, with one POST in flight on each",
    "seconds": "duration of each accept and of each batch size",
    "batches": "items per POST, for each batch size",
    "rate": "POSTs per second of the latency measurement",
    "latency_seconds": "duration of the latency measurement",
    "idle_posts": "POSTs to an idle system",
    "idle_gap": "seconds between POSTs to an idle system",
    "backlog": "mails of each drain",
    "smtp_ms": "delay of every answer of the mail server, for each drain",
    "channel_backlog": "messages of the drains of sms and push; our system only",
    "provider_ms": "delay of every answer of their provider",
    "retries_backlog": "mails of the drain with retries",
    "retries_share": "share of its recipients, 0 to 1, that are answered once with 451",
    "old_rows": "rows in the table before each part of growth; our system only",
    "processes": "worker processes of each drain of scale",
    "priorities_backlog": "mails that wait while urgent ones overtake them; our system only",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each field of Plan."""
    for field in fields(Plan):
        default = getattr(Plan(), field.name)
        several = isinstance(default, tuple)
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=type(default[0] if several else default) if field.name != "smtp_ms" else float,
            nargs="+" if several else None,
            default=default,
            metavar="N",
            help=f"{MEANING[field.name]} ({' '.join(f'{n:g}' for n in (default if several else [default]))})",
        )


def plan_of(options: argparse.Namespace) -> Plan:
    """Return the plan that the options describe."""
    given: dict[str, Any] = {}
    for field in fields(Plan):
        value = getattr(options, field.name)
        given[field.name] = tuple(value) if isinstance(value, list) else value
    return Plan(**given)
