"""`notify send`, `status` and `list`: for a person at a terminal, or with --json for a script."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from cli.client import mail
from cli.client.http import Answer, Client
from cli.terminal import show
from cli.terminal.failure import Refused
from cli.terminal.moments import Moment

KEY = "NOTIFY_KEY"
HOME = "http://127.0.0.1:8000"
STATUSES = ("pending", "processing", "sent", "failed", "cancelled")
FINAL = ("sent", "failed", "cancelled")
PRIORITIES = ("high", "normal", "bulk")
POLL = 0.2  # seconds

F = TypeVar("F", bound=Callable[..., Any])


def _checked(_context: click.Context, _option: click.Parameter, url: str) -> Client:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.BadParameter(f"{url!r} must look like {HOME}")
    # Not an option: what stands in a command line, everybody on the machine can read.
    key = os.environ.get(KEY, "").strip()
    if not key.isascii() or not key.isprintable():
        raise click.BadParameter("it holds what no key can have", param_hint=KEY)
    return Client(url, key)


def _pairs(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in given]
    if any(not key or not equals for key, equals, _ in pairs):
        raise click.BadParameter("must look like orderId=42")
    return {key: value for key, _, value in pairs}


at_url = click.option(
    "--url",
    "client",
    envvar="NOTIFY_URL",
    default=HOME,
    show_default=True,
    show_envvar=True,
    callback=_checked,
    help=f"Where the API is; {KEY} is the key for it.",
)
in_json = click.option("--json", "as_json", is_flag=True, help="Print the API's JSON, for scripts.")


@click.command
@click.option("--to", "recipient", required=True, help="The recipient's address.")
@click.option("--message", help="The text of the mail.")
@click.option("--subject", help="Its subject.")
@click.option(
    "--html",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with the HTML of the mail.",
)
@click.option("--template", help="A template by its name, instead of --message, --subject and --html.")
@click.option("--variables", help="What the template is rendered with, as JSON.")
@click.option("--from", "from", metavar="MAILBOX", help="Whom it is from: name@example.com or Name <name@example.com>.")
@click.option("--reply-to", "replyTo", metavar="MAILBOX", help="Where answers go.")
@click.option("--recipient-name", "recipientName", metavar="NAME", help="The recipient's display name.")
@click.option("--cc", multiple=True, metavar="MAILBOX", help="Who else gets it; again for more.")
@click.option("--bcc", multiple=True, metavar="MAILBOX", help="Who else gets it, unknown to the others.")
@click.option(
    "--header", "headers", multiple=True, callback=mail.headers, help="A header, Name: value; again for more."
)
@click.option(
    "--attach",
    "attachments",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=mail.attachments,
    help="A file to go with it; again for more.",
)
@click.option(
    "--unsubscribe",
    is_flag=False,
    flag_value=mail.OURS,
    metavar="[URL]",
    callback=mail.unsubscribe,
    help="How to leave the list with one click: a URL of yours, or without one a link of this system.",
)
@click.option(
    "--on-uncertain",
    "onUncertain",
    type=click.Choice(["resend", "hold"]),
    help="What to do where nobody can know whether the mail was taken.",
)
@click.option("--tag", "tags", multiple=True, help="A word to find it by; may be repeated.")
@click.option(
    "--metadata", multiple=True, metavar="KEY=VALUE", callback=_pairs, help="What to know of it again; may be repeated."
)
@click.option("--priority", type=click.Choice(PRIORITIES), help="Its lane.")
@click.option("--at", "sendAt", type=Moment(), help="When to send it: a time, or how long from now.")
@click.option("--expires", "expiresAt", type=Moment(), help="From when on it is too late.")
@click.option(
    "--idempotency-key", "key", help="Send it once, however often this is run as it is; 2h is another time in each run."
)
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Wait for the outcome; anything but sent is exit code 1.",
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
    if isinstance(variables := wanted.get("variables"), str):
        wanted["variables"] = _json(variables)
    if html is not None:
        wanted["html"] = text_of(html, "--html")
    answer = client.send(wanted, key)
    if wait is not None:
        answer = _outcome(client, answer, time.monotonic() + wait)
    _print_sent(answer, as_json)
    if wait is not None and answer.json["status"] != "sent":
        raise Refused(_not_sent(answer.json, wait))
    if answer.json["status"] == "failed":  # At once: somebody it is for is on the suppression list.
        raise Refused(_not_sent(answer.json, 0))


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
@click.option("--status", type=click.Choice(STATUSES), help="Only these.")
@click.option("--recipient", help="Only to this address.")
@click.option("--priority", type=click.Choice(PRIORITIES), help="Only of this lane.")
@click.option("--tag", multiple=True, help="Only with this tag; with all of them if repeated.")
@click.option("--limit", type=click.IntRange(min=1), help="How many at most.")
@click.option("--cursor", help="Where the page before ended.")
@at_url
@in_json
def list_(client: Client, as_json: bool, **wanted: object) -> None:
    """List notifications, newest first."""
    answer = client.notifications(**wanted)
    if as_json:
        click.echo(show.document(answer.raw))
        return
    click.echo(show.page(answer.json, show.COLUMNS))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise click.BadParameter("is not JSON", param_hint="--variables") from None


def text_of(path: Path, option: str) -> str:
    """What a file says that was given with an option; raises BadParameter."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise click.BadParameter(f"{path} is not UTF-8", param_hint=option) from None


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


def _not_sent(one: dict[str, Any], waited: float) -> str:
    if one["status"] not in FINAL:
        return f"not sent within {waited:g} s: see `notify status {one['id']}`"
    why = one.get("lastError") or one.get("failureReason") or "see `notify status`"
    return show.plain(f"{one['status']}: {why}")
