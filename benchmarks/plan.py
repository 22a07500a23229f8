"""How much of each is measured, and the options that say so."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Sizes; seconds, and milliseconds where the name says so. Each field is an option of the same name."""

    connections: tuple[int, ...] = (1, 16, 64)
    seconds: int = 5
    batches: tuple[int, ...] = (1, 100, 1_000)
    rate: float = 100
    latency_seconds: int = 10
    idle_posts: int = 10
    idle_gap: float = 2
    backlog: int = 20_000
    smtp_ms: tuple[float, ...] = (0, 20)
    retries_backlog: int = 100_000
    retries_share: float = 0.1
    old_rows: tuple[int, ...] = (0, 1_000_000)
    processes: tuple[int, ...] = (1, 2, 3)
    lanes_backlog: int = 30_000


MEANING = {
    "connections": "of each accept, one POST in flight on each",
    "seconds": "of each accept and each size of a batch",
    "batches": "items of one POST, for each size",
    "rate": "POSTs a second whose mail is waited for",
    "latency_seconds": "how long they come",
    "idle_posts": "POSTs to a system that has nothing to do",
    "idle_gap": "seconds between those",
    "backlog": "mails of each drain",
    "smtp_ms": "of each drain, before every answer of the mail server",
    "retries_backlog": "mails of the drain with retries",
    "retries_share": "of its recipients, 0 to 1: refused once with 451",
    "old_rows": "of the table before each part of growth; ours only",
    "processes": "worker processes of each drain of scale",
    "lanes_backlog": "mails that wait while others are sent past them; ours only",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """An option for each field, with its default."""
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
    """What the options say."""
    given: dict[str, Any] = {}
    for field in fields(Plan):
        value = getattr(options, field.name)
        given[field.name] = tuple(value) if isinstance(value, list) else value
    return Plan(**given)
