"""`notify inbox`: the mails that the catcher of `notify up` kept."""

from __future__ import annotations

import json
import os
from email.message import EmailMessage
from itertools import islice
from typing import Any

import click

from cli import data, show
from cli.failure import Refused
from cli.mailbox import ENVELOPE_FROM, ENVELOPE_TO, Mailbox

COLUMNS = {"number": "N", "date": "DATE", "to": "TO", "subject": "SUBJECT"}


@click.command(short_help="Show the mails that were caught.")
@click.argument("number", required=False, type=click.IntRange(min=1))
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many to list.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def inbox(number: int | None, limit: int, as_json: bool) -> None:
    """List the mails that were caught, newest first, or show mail NUMBER."""
    root = data.root(os.environ)
    if number is None:
        _list(root.mailbox, limit, as_json)
        return
    mail = root.mailbox.read(number)
    if mail is None:
        raise Refused(f"There is no mail {number} in {root.mail}")
    shown = {**_summary(number, mail), **_content(mail)}
    click.echo(json.dumps(shown) if as_json else _readable(shown))


def _list(mailbox: Mailbox, limit: int, as_json: bool) -> None:
    newest = ((number, mailbox.read(number)) for number in reversed(mailbox.numbers()))
    mails = [_summary(number, mail) for number, mail in islice(newest, limit) if mail is not None]
    if as_json:
        click.echo(json.dumps({"items": mails}))
    else:
        click.echo(show.table(({**mail, "to": ", ".join(mail["to"])} for mail in mails), COLUMNS))


def _summary(number: int, mail: EmailMessage) -> dict[str, Any]:
    return {
        "number": number,
        "from": str(mail.get(ENVELOPE_FROM, "")),
        "to": [str(address) for address in mail.get_all(ENVELOPE_TO, [])],
        "subject": str(mail.get("Subject", "")),
        "date": str(mail.get("Date", "")),
    }


def _content(mail: EmailMessage) -> dict[str, Any]:
    return {
        "headers": [[name, str(value)] for name, value in mail.items()],
        "text": _part(mail, "plain"),
        "html": _part(mail, "html"),
    }


def _part(mail: EmailMessage, kind: str) -> str | None:
    part = mail.get_body((kind,))
    if part is None:
        return None
    raw: Any = part.get_payload(decode=True)
    try:
        return str(raw, part.get_content_charset("utf-8"), "replace")
    except LookupError:  # a charset that nobody knows
        return str(raw, "utf-8", "replace")


def _readable(mail: dict[str, Any]) -> str:
    lines = [f"{name}: {show.plain(value)}" for name, value in mail["headers"]]
    body = mail["text"] if mail["text"] is not None else mail["html"]
    return "\n".join([*lines, "", show.body(body or "")])
