"""`notify callbacks`: the endpoints of one's own that are told how notifications end."""

from __future__ import annotations

import click

from cli.client.http import Answer, Client
from cli.client.notifications import at_url, in_json
from cli.terminal import show

EVENTS = ("sent", "failed", "cancelled")
ENDPOINT = {"id": "ID", "url": "URL", "events": "EVENTS", "disabledReason": "DISABLED", "description": "DESCRIPTION"}
DELIVERY = {
    "id": "ID",
    "event": "EVENT",
    "notificationId": "OF",
    "status": "STATUS",
    "attemptCount": "ATTEMPTS",
    "createdAt": "CREATED",
    "lastError": "LAST ERROR",
}
_id = click.argument("id", type=click.IntRange(min=1))


@click.group
def callbacks() -> None:
    """Be told how notifications end, by signed POSTs to a server of yours."""


@callbacks.command
@click.argument("endpoint")
@click.option("--event", "events", multiple=True, type=click.Choice(EVENTS), help="Only these ends; all by default.")
@click.option("--description", help="What it is for.")
@at_url
@in_json
def create(client: Client, as_json: bool, endpoint: str, events: tuple[str, ...], description: str | None) -> None:
    """Register ENDPOINT, a URL, and show its secret, this once."""
    wanted: dict[str, object] = {"url": endpoint}
    if events:
        wanted["events"] = list(events)
    if description is not None:
        wanted["description"] = description
    _print_secret(client.create_callback(wanted), as_json)


@callbacks.command("list")
@at_url
@in_json
def list_(client: Client, as_json: bool) -> None:
    """List the endpoints."""
    answer = client.callbacks()
    if as_json:
        click.echo(show.document(answer.raw))
    else:
        items = [{**item, "events": ",".join(item["events"])} for item in answer.json["items"]]
        click.echo(show.table(items, ENDPOINT))


@callbacks.command
@_id
@at_url
@in_json
def rotate(client: Client, as_json: bool, id: int) -> None:
    """Give an endpoint a new secret; the old one signs too for a while."""
    _print_secret(client.rotate_callback(id), as_json)


@callbacks.command
@_id
@at_url
@in_json
def delete(client: Client, as_json: bool, id: int) -> None:
    """Delete an endpoint; what is still to be told to it fails."""
    answer = client.delete_callback(id)
    click.echo(show.document(answer.raw) if as_json else f"Endpoint {id} is deleted.")


@callbacks.command
@_id
@click.option("--status", type=click.Choice(("pending", "processing", "sent", "failed")), help="Only these.")
@click.option("--limit", type=click.IntRange(min=1), help="How many at most.")
@click.option("--cursor", help="Where the page before ended.")
@at_url
@in_json
def deliveries(client: Client, as_json: bool, id: int, **wanted: object) -> None:
    """List what was told to an endpoint, newest first."""
    answer = client.deliveries(id, **wanted)
    if as_json:
        click.echo(show.document(answer.raw))
        return
    click.echo(show.table(answer.json["items"], DELIVERY))
    if answer.json.get("nextCursor"):
        click.echo(f"\nMore: the same with --cursor {show.plain(answer.json['nextCursor'])}")


@callbacks.command
@_id
@click.argument("delivery", type=click.IntRange(min=1))
@at_url
@in_json
def retry(client: Client, as_json: bool, id: int, delivery: int) -> None:
    """Deliver a callback that has failed again."""
    answer = client.retry_delivery(id, delivery)
    click.echo(show.document(answer.raw) if as_json else f"Delivery {delivery}: {show.plain(answer.json['status'])}")


def _print_secret(answer: Answer, as_json: bool) -> None:
    if as_json:
        click.echo(show.document(answer.raw))
    else:
        one = answer.json
        click.echo(f"Endpoint {one['id']}: {show.plain(one['url'])}")
        click.echo(f"Secret, shown only now: {show.plain(one['secret'])}")
