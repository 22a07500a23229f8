"""`notify callbacks`: endpoints that receive the outcome of notifications."""

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
    "notificationId": "NOTIFICATION",
    "status": "STATUS",
    "attemptCount": "ATTEMPTS",
    "createdAt": "CREATED",
    "lastError": "LAST ERROR",
}
_id = click.argument("id", type=click.IntRange(min=1))


@click.group(short_help="Manage callback endpoints.")
def callbacks() -> None:
    """Manage callback endpoints: your servers, which receive the outcome of notifications as signed POST requests."""


@callbacks.command
@click.argument("endpoint", metavar="URL")
@click.option(
    "--event", "events", multiple=True, type=click.Choice(EVENTS), help="Only this outcome; all outcomes by default."
)
@click.option("--description", help="A note on what the endpoint is for.")
@at_url
@in_json
def create(client: Client, as_json: bool, endpoint: str, events: tuple[str, ...], description: str | None) -> None:
    """Register the endpoint URL and print its secret, which cannot be shown again."""
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
    """List the callback endpoints."""
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
    """Give the endpoint ID a new secret. For a while requests are signed with the old one too."""
    _print_secret(client.rotate_callback(id), as_json)


@callbacks.command
@_id
@at_url
@in_json
def delete(client: Client, as_json: bool, id: int) -> None:
    """Delete the endpoint ID. Callbacks that it has not received yet fail."""
    answer = client.delete_callback(id)
    click.echo(show.document(answer.raw) if as_json else f"Endpoint {id} is deleted.")


@callbacks.command
@_id
@click.option("--status", type=click.Choice(("pending", "processing", "sent", "failed")), help="Only this status.")
@click.option("--limit", type=click.IntRange(min=1), help="The number of callbacks at most.")
@click.option("--cursor", help="Continue after the page that printed this cursor.")
@at_url
@in_json
def deliveries(client: Client, as_json: bool, id: int, **wanted: object) -> None:
    """List the callbacks to the endpoint ID, newest first."""
    answer = client.deliveries(id, **wanted)
    click.echo(show.document(answer.raw) if as_json else show.page(answer.json, DELIVERY))


@callbacks.command
@_id
@click.argument("delivery", type=click.IntRange(min=1))
@at_url
@in_json
def retry(client: Client, as_json: bool, id: int, delivery: int) -> None:
    """Deliver the failed callback DELIVERY of the endpoint ID again."""
    answer = client.retry_delivery(id, delivery)
    click.echo(show.document(answer.raw) if as_json else f"Delivery {delivery}: {show.plain(answer.json['status'])}")


def _print_secret(answer: Answer, as_json: bool) -> None:
    if as_json:
        click.echo(show.document(answer.raw))
    else:
        one = answer.json
        click.echo(f"Endpoint {one['id']}: {show.plain(one['url'])}")
        click.echo(f"Secret (shown only now): {show.plain(one['secret'])}")
