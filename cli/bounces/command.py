"""`notify bounces`."""

from __future__ import annotations

from pathlib import Path

import click

from actors.channels.email.addresses import address_fault
from actors.reports.keys import ReportKeys
from cli import lazy
from cli.operator.store import opened
from cli.submission.command import EXTRA, file
from cli.submission.listening import Listening, context
from runtime import logs
from settings import SettingsError
from settings.hosts import host_and_port

ADDRESS = "127.0.0.1:2525"


@click.command
@click.option(
    "--listen",
    envvar="NOTIFY_BOUNCES_LISTEN",
    show_envvar=True,
    metavar="HOST:PORT",
    default=ADDRESS,
    show_default=True,
    help="The address to listen on. Other mail servers send to port 25.",
)
@click.option("--lmtp", is_flag=True, help="Speak LMTP (RFC 2033), for a mail server in front.")
@click.option(
    "--accept",
    multiple=True,
    metavar="ADDRESS",
    help="Another address to take reports at, such as that of a feedback loop. Can be repeated.",
)
@click.option("--certificate", type=file, help="A PEM file with the certificate and its chain, for STARTTLS.")
@click.option("--private-key", type=file, help="A PEM file with the key of the certificate, if that file lacks it.")
def bounces(
    listen: str, lmtp: bool, accept: tuple[str, ...], certificate: Path | None, private_key: Path | None
) -> None:
    """Take bounces and complaints over SMTP, for the domain RETURN_PATH_DOMAIN.

    A report gets 250 after it is stored, and a worker reads it. Only return paths of this installation exist, and what
    --accept names: other recipients get 550. It never sends a mail. SIGTERM ends it once what it has received is
    stored.
    """
    for address in accept:
        if fault := address_fault(address):
            raise SettingsError(f"--accept {address} is no mail address: {fault}")
    host, port = host_and_port("--listen", listen, ADDRESS)
    where = Listening(host, port, context(certificate, private_key))
    with opened() as chosen:
        keys = ReportKeys.load(chosen.reports)
    logs.configure(chosen, "bounces")
    lazy.attribute("cli.bounces.server:serve", EXTRA)(where, chosen, keys, accept, lmtp=lmtp)
