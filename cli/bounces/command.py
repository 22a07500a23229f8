"""`notify bounces`."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import click
from click.core import ParameterSource

from actors.channels.email.addresses import address_fault
from actors.reports.keys import ReportKeys
from cli import lazy
from cli.bounces.mailbox import EXAMPLE, mailbox, password_in
from cli.operator.store import opened
from cli.submission.command import EXTRA, file
from cli.submission.listening import Listening
from cli.submission.listening import context as tls
from runtime import logs
from settings import SettingsError
from settings.hosts import host_and_port

ADDRESS = "127.0.0.1:2525"
OF_SMTP = ("listen", "lmtp", "accept", "certificate", "private_key")
OF_IMAP = ("password_file", "move_to")
IMAP_EXTRA = "pip install 'notification-system[imap]'"


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
@click.option(
    "--imap",
    envvar="NOTIFY_BOUNCES_IMAP",
    show_envvar=True,
    metavar="URL",
    help=f"Read a mailbox instead of listening, such as {EXAMPLE}.",
)
@click.option("--password-file", type=file, help="A file with the password of the mailbox, instead of IMAP_PASSWORD.")
@click.option("--move-to", metavar="FOLDER", default="", help="Move what was read there, instead of deleting it.")
@click.pass_context
def bounces(  # noqa: PLR0913 - click gives each option by its name
    context: click.Context,
    *,
    listen: str,
    lmtp: bool,
    accept: tuple[str, ...],
    certificate: Path | None,
    private_key: Path | None,
    imap: str | None,
    password_file: Path | None,
    move_to: str,
) -> None:
    """Take bounces and complaints over SMTP, for the domain RETURN_PATH_DOMAIN, or from a mailbox.

    A report gets 250 after it is stored, and a worker reads it. Only return paths of this installation exist, and what
    --accept names: other recipients get 550. It never sends a mail. SIGTERM ends it once what it has received is
    stored.

    With --imap, each message in the folder is stored and then deleted, so the folder must hold nothing else. A message
    of more than 10 MiB is left there. The connection is encrypted: from the start (imaps://) or by STARTTLS (imap://).
    """
    if imap is not None:
        _refuse(context, OF_SMTP, "does not go with --imap")
        _read(imap, password_file, move_to)
    else:
        _refuse(context, OF_IMAP, "needs --imap")
        _take(listen, accept, certificate, private_key, lmtp=lmtp)


def _refuse(context: click.Context, options: Collection[str], reason: str) -> None:
    for name in options:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} {reason}")


def _read(url: str, password_file: Path | None, move_to: str) -> None:
    with opened() as chosen:
        password = password_in(password_file) if password_file else chosen.reports.imap_password
    logs.configure(chosen, "bounces")
    lazy.attribute("cli.bounces.imap_reader:serve", IMAP_EXTRA)(mailbox(url, password, move_to))


def _take(
    listen: str, accept: Collection[str], certificate: Path | None, private_key: Path | None, *, lmtp: bool
) -> None:
    for address in accept:
        if fault := address_fault(address):
            raise SettingsError(f"--accept {address} is no mail address: {fault}")
    host, port = host_and_port("--listen", listen, ADDRESS)
    where = Listening(host, port, tls(certificate, private_key))
    with opened() as chosen:
        keys = ReportKeys.load(chosen.reports)
    logs.configure(chosen, "bounces")
    lazy.attribute("cli.bounces.server:serve", EXTRA)(where, chosen, keys, accept, lmtp=lmtp)
