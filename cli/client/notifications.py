"""`notify status` and `list`, and what the commands share that ask the API."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

import click

from cli.client.http import Client
from cli.terminal import show
from cli.up import data

KEY = "NOTIFY_KEY"
HOME = "http://127.0.0.1:8000"
STATUSES = ("pending", "processing", "sent", "failed", "cancelled")
DELIVERIES = ("unconfirmed", "delivered", "bounced", "complained")
PRIORITIES = ("high", "normal", "bulk")


def home() -> str:
    """Return the address of the API of the `notify up` that runs on DATA_DIR, or else the usual one."""
    return data.url_of_another(data.root(os.environ)) or HOME


def require_url(_context: click.Context, _option: click.Parameter, url: str) -> str:
    """Return the address of the API; raise BadParameter if it is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.BadParameter(f"{url!r} must be a URL such as {HOME}")
    return url


def _connected(context: click.Context, option: click.Parameter, url: str) -> Client:
    require_url(context, option, url)
    # The key is no option, because every user of the machine can read the command lines of others.
    key = os.environ.get(KEY, "").strip()
    if not key.isascii() or not key.isprintable():
        raise click.BadParameter("has characters that no API key has: copy the key again", param_hint=KEY)
    return Client(url, key, context.command)


at_url = click.option(
    "--url",
    "client",
    envvar="NOTIFY_URL",
    metavar="URL",
    default=home,
    show_envvar=True,
    callback=_connected,
    help=f"The address of the API; by default that of the `notify up` on DATA_DIR, or else {HOME}.",
)
in_json = click.option("--json", "as_json", is_flag=True, help="Print the JSON of the API, for scripts.")


@click.command
@click.argument("id", type=click.IntRange(min=1))
@at_url
@in_json
def status(client: Client, as_json: bool, id: int) -> None:
    """Show a notification and its attempts."""
    answer = client.notification(id)
    if as_json:
        click.echo(show.document(answer.raw))
    else:
        click.echo(show.notification(answer.json, client.attempts(id).json["items"]))


@click.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only notifications with this status.")
@click.option("--delivery", "deliveryStatus", type=click.Choice(DELIVERIES), help="Only if this is known since.")
@click.option("--recipient", metavar="ADDRESS", help="Only notifications to this address.")
@click.option("--priority", type=click.Choice(PRIORITIES), help="Only notifications with this priority.")
@click.option("--tag", multiple=True, help="Only notifications with this tag; with all tags if repeated.")
@click.option("--limit", type=click.IntRange(min=1), help="The number of notifications at most.")
@click.option("--cursor", help="Continue after the page that printed this cursor.")
@at_url
@in_json
def list_(client: Client, as_json: bool, **wanted: object) -> None:
    """List notifications, newest first."""
    answer = client.notifications(**wanted)
    if as_json:
        click.echo(show.document(answer.raw))
        return
    click.echo(show.page(answer.json, show.COLUMNS))
