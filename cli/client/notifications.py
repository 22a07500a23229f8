"""`notify send`, `status` and `list`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from cli.client import mail, reading
from cli.client.http import Answer, Client
from cli.terminal import show
from cli.terminal.failure import Late, Refused
from cli.terminal.moments import Moment
from cli.up import data

KEY = "NOTIFY_KEY"
HOME = "http://127.0.0.1:8000"
STATUSES = ("pending", "processing", "sent", "failed", "cancelled")
DELIVERIES = ("unconfirmed", "delivered", "bounced", "complained")
FINAL = ("sent", "failed", "cancelled")
PRIORITIES = ("high", "normal", "bulk")
POLL = 0.2  # seconds

F = TypeVar("F", bound=Callable[..., Any])


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


def _pairs(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in given]
    if any(not key or not equals for key, equals, _ in pairs):
        raise click.BadParameter("must be KEY=VALUE, such as orderId=42")
    return {key: value for key, _, value in pairs}


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
@click.option("--to", "recipient", required=True, metavar="ADDRESS", help="The mail address of the recipient.")
@click.option("--message", help="The text of the mail; `-` reads it from standard input.")
@click.option("--subject", help="The subject of the mail.")
@click.option("--html", type=reading.file, help="A file with the HTML of the mail; `-` is standard input.")
@click.option("--template", metavar="NAME", help="The template to send, instead of --message, --subject and --html.")
@click.option("--variables", metavar="JSON", help="The variables of the template; `-` reads them from standard input.")
@click.option("--from", "from", metavar="MAILBOX", help="The sender: name@example.com or Name <name@example.com>.")
@click.option("--reply-to", "replyTo", metavar="MAILBOX", help="The mailbox that replies go to.")
@click.option("--recipient-name", "recipientName", metavar="NAME", help="The display name of the recipient.")
@click.option("--cc", multiple=True, metavar="MAILBOX", help="Another recipient; may be repeated.")
@click.option(
    "--bcc", multiple=True, metavar="MAILBOX", help="A recipient that the others do not see; may be repeated."
)
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME:VALUE",
    callback=mail.headers,
    help="A header of the mail, such as `X-Campaign: spring`; may be repeated.",
)
@click.option(
    "--attach",
    "attachments",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=mail.attachments,
    help="A file to attach; may be repeated.",
)
@click.option(
    "--unsubscribe",
    is_flag=False,
    flag_value=mail.OURS,
    metavar="[URL]",
    callback=mail.unsubscribe,
    help="Add a one-click unsubscribe link (RFC 8058): to URL, or without a URL to this system.",
)
@click.option(
    "--on-uncertain",
    "onUncertain",
    type=click.Choice(["resend", "hold"]),
    help="What to do when nobody can know whether the mail server took the mail: send it again, or stop.",
)
@click.option(
    "--failover",
    type=click.Choice(["safe", "always"]),
    help="Let another provider send it only if the first has certainly not taken it, or also if that is unknown.",
)
@click.option("--tag", "tags", multiple=True, help="A tag, to find the notification by; may be repeated.")
@click.option(
    "--metadata", multiple=True, metavar="KEY=VALUE", callback=_pairs, help="A value to store with it; may be repeated."
)
@click.option("--priority", type=click.Choice(PRIORITIES), help="The priority of the notification.")
@click.option("--at", "sendAt", type=Moment(), help="When to send it: an RFC 3339 time, or a span from now such as 2h.")
@click.option("--expires", "expiresAt", type=Moment(), help="When to give up: a time, or a span from now.")
@click.option(
    "--idempotency-key",
    "key",
    help="Send once, however often the same command is run. A span such as 2h differs in every run: give a time.",
)
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Wait for the outcome; exit with 1 if it was not sent, with 75 if it is still undecided after SECONDS.",
)
@at_url
@in_json
def send(
    client: Client, as_json: bool, html: Path | None, wait: float | None, key: str | None, **given: object
) -> None:
    """Send a notification by e-mail."""
    wanted: dict[str, Any] = {
        "type": "email",
        **{name: value for name, value in given.items() if value not in (None, (), [], {})},
    }
    if isinstance(message := wanted.get("message"), str):
        wanted["message"] = reading.text(message, "--message")
    if isinstance(variables := wanted.get("variables"), str):
        wanted["variables"] = reading.json_in(reading.text(variables, "--variables"), "--variables")
    if html is not None:
        wanted["html"] = reading.text_of(html, "--html")
    answer = client.send(wanted, key)
    if wait is not None:
        answer = _outcome(client, answer, time.monotonic() + wait)
    _print_sent(answer, as_json)
    if wait is not None and answer.json["status"] not in FINAL:
        raise Late(f"not sent within {wait:g} s: see `notify status {answer.json['id']}`")
    # Without --wait too: a recipient on the suppression list fails the notification at once.
    if answer.json["status"] == "failed" or (wait is not None and answer.json["status"] != "sent"):
        raise Refused(_not_sent(answer.json))


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
