"""`notify inbox`: the mails that the catcher of `notify up` kept."""

from __future__ import annotations

import json
import os
from itertools import islice
from typing import Any

import click

from api.dashboard.mailbox import Mailbox, content, summary
from cli.terminal import show
from cli.terminal.failure import Refused
from cli.up import data

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
    shown = {**summary(number, mail), **content(mail)}
    click.echo(json.dumps(shown) if as_json else _readable(shown))


def _list(mailbox: Mailbox, limit: int, as_json: bool) -> None:
    newest = ((number, mailbox.read(number)) for number in reversed(mailbox.numbers()))
    mails = [summary(number, mail) for number, mail in islice(newest, limit) if mail is not None]
    if as_json:
        click.echo(json.dumps({"items": mails}))
    else:
        click.echo(show.table(({**mail, "to": ", ".join(mail["to"])} for mail in mails), COLUMNS))


def _readable(mail: dict[str, Any]) -> str:
    lines = [f"{name}: {show.plain(value)}" for name, value in mail["headers"]]
    body = mail["text"] if mail["text"] is not None else mail["html"]
    return "\n".join([*lines, "", show.body(body or "")])
