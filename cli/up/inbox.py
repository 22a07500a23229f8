"""`notify inbox`: the mails that the mail catcher of `notify up` keeps."""

from __future__ import annotations

import json
import os
from email.message import EmailMessage
from itertools import islice
from typing import Any

import click

from api.dashboard.mailbox import Mailbox, content, summary
from api.http.times import exact
from cli.terminal import moments, show
from cli.terminal.failure import Refused
from cli.up import data

COLUMNS = {"number": "NUMBER", "date": "DATE", "to": "TO", "subject": "SUBJECT"}


@click.command(short_help="Show the mails that `notify up` has caught.")
@click.argument("number", required=False, type=click.IntRange(min=1))
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="The number of mails to list.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def inbox(number: int | None, limit: int, as_json: bool) -> None:
    """List the mails that `notify up` has caught, newest first, or show mail NUMBER."""
    root = data.root(os.environ)
    if not root.mail.is_dir():
        raise Refused(
            f"{root.path} has no caught mails: change to the directory where `notify up` runs, or set DATA_DIR."
            " With SMTP_URL set, `notify up` sends mails instead of catching them."
        )
    if number is None:
        _list(root.mailbox, limit, as_json)
        return
    mail = root.mailbox.read(number)
    if mail is None:
        raise Refused(f"There is no mail {number} in {root.mail}: see `notify inbox`")
    shown = {**_summary(number, mail), **content(mail)}
    click.echo(json.dumps(shown) if as_json else _readable(shown))


def _list(mailbox: Mailbox, limit: int, as_json: bool) -> None:
    newest = ((number, mailbox.read(number)) for number in reversed(mailbox.numbers()))
    mails = [_summary(number, mail) for number, mail in islice(newest, limit) if mail is not None]
    if as_json:
        click.echo(json.dumps({"items": mails}))
    elif not mails:
        click.echo("No mail has been caught yet.")
    else:
        click.echo(show.table(map(_row, mails), COLUMNS))


def _summary(number: int, mail: EmailMessage) -> dict[str, Any]:
    """Return the summary of a mail; `date` is in RFC 3339, or null where the Date header is no date."""
    known = summary(number, mail)
    return {**known, "date": known["date"] and exact(known["date"])}


def _row(mail: dict[str, Any]) -> dict[str, Any]:
    return {**mail, "to": ", ".join(mail["to"]), "date": moments.readable(mail["date"] or "")}


def _readable(mail: dict[str, Any]) -> str:
    lines = [f"{name}: {show.plain(value)}" for name, value in mail["headers"]]
    body = mail["text"] if mail["text"] is not None else mail["html"]
    return "\n".join([*lines, "", show.body(body or "")])
