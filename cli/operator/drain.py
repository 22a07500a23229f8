"""`notify drain`: stop sending before maintenance. Uses the database directly."""

from __future__ import annotations

import json
import time

import click

from actors.channels.registry import pausable
from cli.operator import caller, store
from cli.terminal import progress
from cli.terminal.failure import Late, Stopped
from cli.terminal.moments import span
from cli.terminal.signals import Signals
from db import drain as table
from db.drain import InFlight

POLL = 0.25  # seconds
RESUME = "All channels are paused; to send again: notify resume --all"


@click.command("drain", short_help="Pause all channels and wait until nothing is being sent.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, max=86_400),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for notifications that are being sent; exit with 75 if some still are.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def drain(timeout: float, as_json: bool) -> None:
    """Pause every channel and wait until no worker is sending a notification.

    Then nothing is sent and no outcome is unknown until `notify resume --all`: you can restart PostgreSQL, Redis,
    the mail server and the workers. The API still accepts notifications and stores them. The channels stay paused
    after a timeout and after Ctrl-C too. Safe to run again.
    """
    began = time.monotonic()
    with store.opened(), Signals() as signals:
        transaction = table.begin(caller.by(), pausable())
        left = _wait(transaction, began + timeout, signals)
    waited = time.monotonic() - began
    if as_json:
        click.echo(
            json.dumps({"drained": left is None, "inFlight": left.number if left else 0, "waited": round(waited, 3)})
        )
    if signals.stops:
        raise Stopped(f"Stopped waiting. {RESUME}")
    if left is not None:
        raise Late(
            f"After {waited:.0f} s {left.number:,} notifications are still being sent, the oldest for "
            f"{span(left.oldest)}: run this again, or see `notify workers`. {RESUME}"
        )
    if not as_json:
        click.echo(f"Nothing is being sent. {RESUME}")


def _wait(transaction: int, deadline: float, signals: Signals) -> InFlight | None:
    """Wait until nothing is in flight and every worker knows of the pause. Return what is left at the deadline."""
    left = table.in_flight()
    with progress.bar("Being sent", left.number) as step:
        while table.unaware(transaction) or (left := _looked(left, step)).number:
            if signals.stops or time.monotonic() >= deadline:
                return left
            signals.wait(POLL)
    return None


def _looked(before: InFlight, step: progress.Step) -> InFlight:
    now = table.in_flight()
    step(max(0, before.number - now.number))
    return now
