"""`notify callbacks`: endpoints that receive the outcome of notifications."""

from __future__ import annotations

import json

import click

from cli.client.http import Answer, Client
from cli.client.notifications import at_url, in_json
from cli.terminal import show

EVENTS = (
    *("sent", "failed", "cancelled", "delivered", "bounced", "complained"),
    *("provider.silent", "provider.heard"),
)
ENDPOINT = {"id": "ID", "url": "URL", "events": "EVENTS", "disabledReason": "DISABLED", "description": "DESCRIPTION"}
SHOWN = {
    "url": "URL",
    "description": "Description",
    "events": "Events",
    "disabledReason": "Disabled",
    "lastSuccessAt": "Last success",
    "lastFailureAt": "Last failure",
    "failingSince": "Failing since",
    "waiting": "Waiting",
    "failed": "Failed",
}
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
    "--event",
    "events",
    multiple=True,
    type=click.Choice(EVENTS),
    help="Only this event; sent, failed and cancelled by default.",
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


@callbacks.command("show")
@_id
@at_url
@in_json
def show_(client: Client, as_json: bool, id: int) -> None:
    """Show the endpoint ID, and whether it accepts its callbacks."""
    one, health = client.callback(id).json, client.callback_health(id).json
    if as_json:
        click.echo(show.document(json.dumps({**one, "health": health})))
        return
    for name, title in SHOWN.items():
        if (value := {**one, **health}.get(name)) not in (None, ""):
            click.echo(f"{title:<16} {show.plain(show.value(name, value))}")


@callbacks.command
@_id
@at_url
@in_json
def disable(client: Client, as_json: bool, id: int) -> None:
    """Disable the endpoint ID. It gets no callbacks until it is enabled, and those that wait for it fail."""
    _print_change(client.change_callback(id, {"disabled": True}), as_json)


@callbacks.command
@_id
@at_url
@in_json
def enable(client: Client, as_json: bool, id: int) -> None:
    """Enable the endpoint ID again."""
    _print_change(client.change_callback(id, {"disabled": False}), as_json)


@callbacks.command
@_id
@at_url
@in_json
def test(client: Client, as_json: bool, id: int) -> None:
    """Send a test callback to the endpoint ID. `notify callbacks deliveries ID` shows the result."""
    answer = client.test_callback(id)
    click.echo(show.document(answer.raw) if as_json else f"Delivery {answer.json['id']} is a test.")


@callbacks.command
@_id
@click.argument("delivery", type=click.IntRange(min=1), required=False)
@click.option("--failed", is_flag=True, help="All failed callbacks of the endpoint, instead of one.")
@at_url
@in_json
def retry(client: Client, as_json: bool, id: int, delivery: int | None, failed: bool) -> None:
    """Deliver the failed callback DELIVERY of the endpoint ID again, or with --failed all failed ones."""
    if failed == (delivery is not None):
        raise click.UsageError("give either a DELIVERY or --failed")
    if delivery is not None:
        answer = client.retry_delivery(id, delivery)
        told = f"Delivery {delivery}: {show.plain(str(answer.json.get('status')))}"
        click.echo(show.document(answer.raw) if as_json else told)
        return
    retried = _retry_all(client, id)
    click.echo(show.document(json.dumps({"retried": retried})) if as_json else f"Pending again: {retried}")


def _retry_all(client: Client, id: int) -> int:
    """Retry all failed callbacks of an endpoint in steps, and return how many."""
    retried = 0
    while True:
        step = client.retry_deliveries(id).json
        retried += int(step["retried"])
        if not step["more"]:
            return retried


def _print_change(answer: Answer, as_json: bool) -> None:
    one = answer.json
    state = "disabled" if one["disabled"] else "enabled"
    click.echo(show.document(answer.raw) if as_json else f"Endpoint {one['id']} is {state}.")


def _print_secret(answer: Answer, as_json: bool) -> None:
    if as_json:
        click.echo(show.document(answer.raw))
    else:
        one = answer.json
        click.echo(f"Endpoint {one['id']}: {show.plain(one['url'])}")
        click.echo(f"Secret (shown only now): {show.plain(one['secret'])}")
