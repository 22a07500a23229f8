"""`notify destinations`: named places for chat messages and webhooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from cli.client import reading
from cli.client.http import Answer, Client
from cli.client.notifications import at_url, in_json
from cli.terminal import show

KINDS = ("slack", "discord", "telegram", "teams", "apprise", "webhook")
COLUMNS = {"name": "NAME", "kind": "KIND", "host": "HOST", "hint": "ENDS IN", "description": "DESCRIPTION"}
SHOWN = {
    "name": "Name",
    "kind": "Kind",
    "host": "Host",
    "hint": "Ends in",
    "chatId": "Chat",
    "description": "Description",
    "createdAt": "Created",
    "oldSecretUntil": "Old secret until",
}
_SECRET = {"url": "--target", "token": "--token"}
_name = click.argument("name")


def _fields(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options for the fields of a destination."""
    for option in (
        click.option("--description", help="A note for people."),
        click.option("--chat-id", "chatId", help="Telegram: the number of the chat, or @channel."),
        click.option("--token", help="Telegram: the token of the bot; `-` reads it from standard input."),
        click.option("--target", "url", metavar="URL", help="The URL to call; `-` reads it from standard input."),
    ):
        command = option(command)
    return command


@click.group(short_help="Manage destinations.")
def destinations() -> None:
    """Manage destinations: named places, such as a Slack channel, for notifications of the types chat and webhook."""


@destinations.command
@_name
@click.option("--kind", required=True, type=click.Choice(KINDS), help="The service.")
@_fields
@at_url
@in_json
def create(client: Client, as_json: bool, name: str, kind: str, **given: str | None) -> None:
    """Create the destination NAME. The secret of a webhook is printed once and cannot be shown again."""
    _print(client.create_destination({"name": name, "kind": kind, **_given(given)}), as_json)


@destinations.command("list")
@click.option("--cursor", help="Continue after the page that printed this cursor.")
@at_url
@in_json
def list_(client: Client, as_json: bool, cursor: str | None) -> None:
    """List the destinations, by name."""
    answer = client.destinations(cursor=cursor)
    click.echo(show.document(answer.raw) if as_json else show.page(answer.json, COLUMNS))


@destinations.command("show")
@_name
@at_url
@in_json
def show_(client: Client, as_json: bool, name: str) -> None:
    """Show the destination NAME. Its URL and token are never shown."""
    answer = client.destination(name)
    if as_json:
        click.echo(show.document(answer.raw))
        return
    for field, title in SHOWN.items():
        if (value := answer.json.get(field)) not in (None, ""):
            click.echo(f"{title:<16} {show.plain(show.value(field, value))}")


@destinations.command
@_name
@_fields
@at_url
@in_json
def change(client: Client, as_json: bool, name: str, **given: str | None) -> None:
    """Change the destination NAME. Notifications that wait for it go to the new place."""
    changes = _given(given)
    if not changes:
        raise click.UsageError("give at least one of --target, --token, --chat-id and --description")
    _print(client.change_destination(name, changes), as_json)


@destinations.command
@_name
@at_url
@in_json
def rotate(client: Client, as_json: bool, name: str) -> None:
    """Give the webhook NAME a new secret. For a day requests are signed with the old one too."""
    _print(client.rotate_destination(name), as_json)


@destinations.command
@_name
@at_url
def delete(client: Client, name: str) -> None:
    """Delete the destination NAME. Notifications that wait for it fail."""
    client.delete_destination(name)
    click.echo(f"Destination {show.plain(name)}: deleted")


def _given(options: dict[str, str | None]) -> dict[str, Any]:
    """Return the fields that were given; URL and token may come from standard input, which no process list shows."""
    return {
        name: reading.text(value, _SECRET[name]).strip() if name in _SECRET else value
        for name, value in options.items()
        if value is not None
    }


def _print(answer: Answer, as_json: bool) -> None:
    one = answer.json
    if as_json:
        click.echo(show.document(answer.raw))
        return
    click.echo(show.plain(f"Destination {one['name']}: {one['kind']}, {one['host']}"))
    if secret := one.get("secret"):
        click.echo(f"Secret (shown only now): {show.plain(secret)}")
