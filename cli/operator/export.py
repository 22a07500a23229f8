"""`notify export`: export the data of a client, or of one recipient. Uses the database directly."""

from __future__ import annotations

import sys

import click

from actors.channels.addresses import FORMS, address_fault, normalised
from api.http.pagination import Wrong
from api.resources import exporting
from cli.operator import caller, store
from cli.terminal.failure import Refused
from db import acts, audit
from db.exports import Wanted


@click.command(short_help="Export the stored data of a client.")
@click.option("--client", default="default", show_default=True, help="The name of the client.")
@click.option("--recipient", metavar="ADDRESS", help="Only data about this address, for a person who asks for a copy.")
@click.option("--attachments", is_flag=True, help="Include the attached files, in base64.")
@click.option("--after", metavar="CURSOR", help="Continue after the line with this cursor.")
def export(client: str, recipient: str | None, attachments: bool, after: str | None) -> None:
    """Write the stored data of a client to stdout, one JSON document per line. The last one has the kind `end`.

    The export locks nothing and is no snapshot: each line shows the data at the time when it was read.
    """
    if recipient is not None and (fault := address_fault(recipient)):
        raise Refused(f"--recipient: must be {FORMS}: {fault}")
    out = sys.stdout.buffer
    with store.opened():
        owner = store.client(client)
        wanted = Wanted(owner.id, normalised(recipient) if recipient else None, attachments)
        try:
            at: exporting.Place | None = exporting.place(after, wanted) if after else exporting.first(wanted)
        except Wrong as why:
            raise Refused(f"--after: {why}") from None
        begun = acts.export_begun(owner.id, wanted.recipient, attachments=attachments, resumed=after is not None)
        audit.record(caller.by(), begun)
        count = 0
        while at is not None:
            page = exporting.page(wanted, at)
            out.write(page.lines)
            count, at = count + page.rows, page.next_place
        out.write(exporting.end(count))
