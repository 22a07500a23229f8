"""`notify send`: send a notification of any channel."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from cli.client.http import Answer, Client
from cli.client.notifications import at_url, in_json
from cli.client.send_options import document, options
from cli.terminal import show
from cli.terminal.failure import Late, Refused

FINAL = ("sent", "failed", "cancelled")
POLL = 0.2  # seconds


@click.command
@options
@click.option(
    "--idempotency-key",
    "key",
    help="Send once, however often the same command is run. A span such as 2h differs in every run: give a time.",
)
@click.option("--dry-run", is_flag=True, help="Print the request that would be made, and send nothing.")
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Wait for the outcome; exit with 1 if it was not sent, with 75 if it is still undecided after SECONDS.",
)
@at_url
@in_json
def send(client: Client, as_json: bool, wait: float | None, dry_run: bool, key: str | None, **given: Any) -> None:
    """Send a notification of any channel.

    It is an e-mail unless --type says otherwise. Each type has options of its own.
    """
    wanted = document(given)
    if dry_run:
        click.echo(json.dumps(wanted, indent=None if as_json else 2, ensure_ascii=as_json))
        return
    answer = client.send(wanted, key)
    if wait is not None:
        answer = _outcome(client, answer, time.monotonic() + wait)
    _print_sent(answer, as_json)
    if wait is not None and answer.json["status"] not in FINAL:
        raise Late(f"not sent within {wait:g} s: see `notify status {answer.json['id']}`")
    # Without --wait too: a recipient on the suppression list fails the notification at once.
    if answer.json["status"] == "failed" or (wait is not None and answer.json["status"] != "sent"):
        raise Refused(_not_sent(answer.json))


def _outcome(client: Client, answer: Answer, deadline: float) -> Answer:
    id = answer.json["id"]
    while answer.json["status"] not in FINAL and time.monotonic() < deadline:
        time.sleep(POLL)
        answer = client.notification(id)
    return answer


def _print_sent(answer: Answer, as_json: bool) -> None:
    if as_json:
        click.echo(show.document(answer.raw))
    else:
        click.echo(f"Notification {answer.json['id']}: {answer.json['status']}")


def _not_sent(one: dict[str, Any]) -> str:
    why = one.get("lastError") or one.get("failureReason") or "see `notify status`"
    return show.plain(f"{one['status']}: {why}")
