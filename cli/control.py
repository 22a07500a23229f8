"""`notify cancel`, `retry`, `pause` and `resume`: changing one's mind."""

from __future__ import annotations

import json
from typing import Any

import click

from cli import show
from cli.client import Answer, Client
from cli.moments import Moment
from cli.notifications import PRIORITIES, at_url, in_json

_channel = click.option("--channel", help="All that goes by this channel, whoever sends it; needs an admin key.")


@click.command
@click.argument("id", type=click.IntRange(min=1))
@at_url
@in_json
def cancel(client: Client, as_json: bool, id: int) -> None:
    """Cancel a pending notification: it is never sent."""
    _print(client.cancel(id), as_json)


@click.command
@click.argument("id", type=click.IntRange(min=1), required=False)
@click.option("--failed", is_flag=True, help="All that have failed, instead of one.")
@click.option("--since", type=Moment(ago=True), help="With --failed: created since then; a time, or 90s, 10m, 1h, 2d.")
@click.option(
    "--reason", type=click.Choice(["rejected", "suppressed", "exhausted", "outcome-unknown"]), help="With --failed."
)
@click.option("--recipient", help="With --failed: only to this address.")
@click.option("--priority", type=click.Choice(PRIORITIES), help="With --failed: only of this lane.")
@click.option("--tag", help="With --failed: only with this tag.")
@click.option("--dry-run", is_flag=True, help="With --failed: only count them.")
@at_url
@in_json
def retry(client: Client, as_json: bool, id: int | None, failed: bool, dry_run: bool, **wanted: str | None) -> None:
    """Send one or many failed notifications once more."""
    filters = {_FILTERS[name]: value for name, value in wanted.items() if value is not None}
    if failed == (id is not None):
        raise click.UsageError("Give an ID, or --failed.")
    if id is not None and (filters or dry_run):
        raise click.UsageError("--since, --reason, --recipient, --priority, --tag and --dry-run go with --failed.")
    if id is not None:
        _print(client.retry(id), as_json)
    elif dry_run:
        _print_count(client.retry_count(filters), as_json)
    else:
        retried = _retry_all(client, filters)
        click.echo(json.dumps({"retried": retried}) if as_json else f"Retried: {retried}")


@click.command
@_channel
@at_url
@in_json
def pause(client: Client, as_json: bool, channel: str | None) -> None:
    """Accept and store, and send nothing until `notify resume`."""
    _print_pause(client.pause("PUT", channel), as_json)


@click.command
@_channel
@at_url
@in_json
def resume(client: Client, as_json: bool, channel: str | None) -> None:
    """Send again, beginning with what has waited."""
    _print_pause(client.pause("DELETE", channel), as_json)


def _retry_all(client: Client, filters: dict[str, str]) -> int:
    retried = 0
    step: dict[str, Any] = {"filter": filters}
    while True:
        done = client.retry_step(step).json
        retried += int(done["retried"])
        if not done["nextCursor"]:
            return retried
        step["cursor"] = done["nextCursor"]


def _print(answer: Answer, as_json: bool) -> None:
    one = answer.json
    click.echo(show.document(answer.raw) if as_json else f"Notification {one['id']}: {show.plain(one['status'])}")


def _print_count(answer: Answer, as_json: bool) -> None:
    more = "more than " if answer.json["more"] else ""
    click.echo(show.document(answer.raw) if as_json else f"Would be retried: {more}{answer.json['matched']}")


def _print_pause(answer: Answer, as_json: bool) -> None:
    one = answer.json
    state = f"paused since {one['since']}" if one["paused"] else "not paused"
    click.echo(show.document(answer.raw) if as_json else show.plain(f"{one['kind']} {one['name']}: {state}"))


_FILTERS = {
    **{"since": "createdFrom", "reason": "failureReason"},
    **{name: name for name in ("recipient", "priority", "tag")},
}
