"""`notify top`: the command. Uses PostgreSQL and Redis directly."""

from __future__ import annotations

import sys
import time

import click
import orjson

from cli.operator import store
from cli.operator.redis_queues import RedisQueues
from cli.terminal import show
from cli.terminal.signals import Signals
from cli.top.sample import Sampler
from cli.top.screen import document, lines
from cli.top.terminal import Watching, capable, run


@click.command(short_help="Watch queues, workers and failures live.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.2, max=3_600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="The time between two updates.",
)
@click.option("--once", is_flag=True, help="Print the view once, after one interval; so too if there is no terminal.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead: one line for each update, until Ctrl-C.")
def top(interval: float, once: bool, as_json: bool) -> None:
    """Watch rates, queues, workers, breakers and the newest failures. q quits.

    The view costs the servers little, however large their tables are: pending notifications are counted up to
    10,000. Rates are averages of the last 10 seconds; `accepted` includes callbacks.
    """
    with store.opened() as chosen:
        sampler = Sampler(RedisQueues(chosen), chosen.delivery.worker_timeout, chosen.provider_names)
        if as_json:
            _stream(sampler, interval, once=once)
        elif once or not (sys.stdout.isatty() and sys.stdin.isatty() and capable()):
            _print(sampler, interval)
        else:
            run(Watching(sampler.look, interval), f"every {interval:g} s, q quits")


def _print(sampler: Sampler, interval: float) -> None:
    sampler.look()
    time.sleep(interval)
    click.echo("\n".join(line.text for line in lines(sampler.look())))


def _stream(sampler: Sampler, interval: float, *, once: bool) -> None:
    with Signals() as signals:
        sampler.look()
        while not signals.stops:
            signals.wait(interval)
            raw = orjson.dumps(document(sampler.look()), option=orjson.OPT_UTC_Z).decode()
            click.echo(show.document(raw))
            if once:
                return
