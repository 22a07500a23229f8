"""`python -m benchmarks.outage`: measure the delay of mails while the provider of text messages does not answer.

The delay is from POST to the arrival at the mail server, with ten mails a second: without other work, and with a
backlog of text messages whose provider takes connections and answers nothing. Writes Markdown to stdout.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

from benchmarks import report
from benchmarks.channels import CHANNELS, fill, post
from benchmarks.fault_scene import GROUPS, THREADS, Ground, Scene, scene
from benchmarks.figures import PERCENTILES, Figures, percentiles
from benchmarks.processes import wait_until
from tests import embedded

PROBES, RATE = 200, 10.0
BACKLOG = 5_000  # text messages
SETTINGS: dict[str, object] = {"relay_grace": 10, "worker_timeout": 30}


class Probed(NamedTuple):
    """Result of one line: percentiles in milliseconds, and the text messages that the provider took meanwhile."""

    label: str
    figures: Figures
    taken: int


def probe(at: Scene, prefix: str) -> Figures:
    """POST the mails, and return percentiles of the milliseconds from POST to arrival."""
    sent: dict[str, float] = {}
    begun = time.monotonic()
    for number in range(PROBES):
        time.sleep(max(0.0, begun + number / RATE - time.monotonic()))
        recipient = f"{prefix}{number}@example.com"
        sent[recipient] = time.time()
        post(at.system.port, "/api/notifications", {"type": "email", "recipient": recipient, "message": "Hello"})
    wait_until(lambda: sent.keys() <= at.ground.sink.times().keys(), "the mails", 120)
    arrived = at.ground.sink.times()
    return percentiles([(arrived[recipient] - moment) * 1_000 for recipient, moment in sent.items()])


def measure(at: Scene) -> Iterator[Probed]:
    """Yield the lines of the table."""
    provider = at.ground.http.mailbox
    probe(at, "warm")
    yield Probed("mails, no text messages", probe(at, "alone"), provider.count().mails)
    provider.misbehave("hang")
    fill(at.system.port, CHANNELS["sms"], BACKLOG)
    wait_until(lambda: provider.met() > 0, "the first text message")
    yield Probed(f"mails, {BACKLOG:,} text messages and no answer", probe(at, "beside"), provider.count().mails)
    provider.misbehave()


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(prog="python -m benchmarks.outage", description=__doc__).parse_args()
    print("| measured | p50 ms | p95 ms | p99 ms | text messages taken |\n| --- | ---: | ---: | ---: | ---: |")
    with ExitStack() as lasting:
        ground = Ground(lasting.enter_context(embedded.short_directory()), lasting)
        account = CHANNELS["sms"].environment(ground.http.url, ground.folder)
        settings = {**SETTINGS, **{name.lower(): value for name, value in account.items()}}
        with scene(ground, "outage", 0, scripted=False, channel="", **settings) as at:
            at.work()
            for label, found, taken in measure(at):
                print(f"| {label} | {' | '.join(f'{found[p]:.1f}' for p in PERCENTILES)} | {taken:,} |", flush=True)
    print(
        f"\n{report.machine()}. {GROUPS} worker processes of {THREADS} threads; {PROBES} mails, {RATE:g} a second.",
    )


if __name__ == "__main__":
    main()
