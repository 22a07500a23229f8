"""`notify drain`: come to rest before maintenance. Speaks to the database itself."""

from __future__ import annotations

import json
import time

import click

from cli.operator import caller, store
from cli.terminal import progress
from cli.terminal.failure import Late, Stopped
from cli.terminal.moments import span
from cli.terminal.signals import Signals
from db import drain as table
from db.drain import InFlight

POLL = 0.25  # seconds
ON = "All channels are paused; send again: notify resume --all"


@click.command("drain", short_help="Pause all, and wait until nothing is being sent.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, max=86_400),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for what is being sent; exit code 75 when it is over.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def drain(timeout: float, as_json: bool) -> None:
    """Pause every channel, and wait until no notification is in a worker's hands.

    Then nothing is sent, and nothing is in doubt, until `notify resume --all`: PostgreSQL, Redis, the mail
    server and the workers can be restarted. The API goes on accepting; what it accepts is stored and waits.
    Also when time is over, or Ctrl-C ends the wait, the channels stay paused. Safe to run again.
    """
    began = time.monotonic()
    with store.opened(), Signals() as signals:
        transaction = table.begin(caller.by())
        left = _wait(transaction, began + timeout, signals)
    waited = time.monotonic() - began
    if as_json:
        click.echo(
            json.dumps({"drained": left is None, "inFlight": left.number if left else 0, "waited": round(waited, 3)})
        )
    if signals.stops:
        raise Stopped(f"Stopped waiting. {ON}")
    if left is not None:
        raise Late(
            f"After {waited:.0f} s {left.number:,} are still being sent, the oldest for {span(left.oldest)}: "
            f"run it again, or see `notify workers`. {ON}"
        )
    if not as_json:
        click.echo(f"Nothing is being sent. {ON}")


def _wait(transaction: int, deadline: float, signals: Signals) -> InFlight | None:
    """None once nothing is in flight and nothing can be any more; else what still is."""
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
