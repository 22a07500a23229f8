"""`notify export`: all that is stored of a client, or of one recipient. Speaks to the database itself."""

from __future__ import annotations

import sys

import click

from actors.channels.email.addresses import address_fault, normalised
from api.http.pagination import Wrong
from api.resources import exporting
from cli.operator import caller, store
from cli.terminal.failure import Refused
from db import acts, audit
from db.exports import Wanted


@click.command(short_help="Write out what is stored of a client.")
@click.option("--client", default="default", show_default=True, help="The name of the client.")
@click.option("--recipient", metavar="ADDRESS", help="Only what was sent to this address: what a person may ask for.")
@click.option("--attachments", is_flag=True, help="With the files, in base64.")
@click.option("--after", metavar="CURSOR", help="Go on behind the line with this cursor.")
def export(client: str, recipient: str | None, attachments: bool, after: str | None) -> None:
    """Write what is stored of a client to stdout, a JSON document a line; the last one has the kind `end`.

    Nothing is held up meanwhile. Each line is as it was when it was read.
    """
    if recipient is not None and (fault := address_fault(recipient)):
        raise Refused(f"This is no mail address: {fault}")
    out = sys.stdout.buffer
    with store.opened() as chosen:
        owner = store.client(client)
        wanted = Wanted(owner.id, normalised(recipient) if recipient else None, attachments)
        try:
            at: exporting.Place | None = exporting.place(after, wanted) if after else exporting.first(wanted)
        except Wrong as why:
            raise Refused(f"--after: {why}") from None
        told = acts.export_begun(owner.id, wanted.recipient, attachments=attachments, resumed=after is not None)
        audit.note(caller.by(), told)
        count = 0
        while at is not None:
            page = exporting.page(wanted, at, chosen.export_page)
            out.write(page.lines)
            count, at = count + page.rows, page.following
        out.write(exporting.end(count))
