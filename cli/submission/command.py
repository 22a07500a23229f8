"""`notify smtp`."""

from __future__ import annotations

from pathlib import Path

import click

import settings
from cli import lazy
from cli.client.notifications import home, require_url
from cli.submission.listening import ADDRESS, listening
from runtime import logs

EXTRA = "pip install 'notification-system[smtp]'"
file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command
@click.option(
    "--listen",
    envvar="NOTIFY_SMTP_LISTEN",
    show_envvar=True,
    metavar="HOST:PORT",
    default=ADDRESS,
    show_default=True,
    help="The address to listen on. Beyond loopback, a certificate and API keys are required.",
)
@click.option(
    "--certificate",
    envvar="NOTIFY_SMTP_CERTIFICATE",
    show_envvar=True,
    type=file,
    help="A PEM file with the certificate and its chain; clients then need STARTTLS to log in.",
)
@click.option(
    "--private-key",
    envvar="NOTIFY_SMTP_PRIVATE_KEY",
    show_envvar=True,
    type=file,
    help="A PEM file with the key of the certificate, if that file does not have it.",
)
@click.option(
    "--url",
    envvar="NOTIFY_URL",
    show_envvar=True,
    metavar="URL",
    default=home,
    callback=require_url,
    help="The address of the API; by default that of the `notify up` on DATA_DIR.",
)
def smtp(listen: str, certificate: Path | None, private_key: Path | None, url: str) -> None:
    """Take mails over SMTP and store them as notifications, for programs that do not speak HTTP.

    A client logs in with an API key as the password; its user name does not matter. It gets 250 after the API has
    stored its mail. SIGTERM ends the server once the mails that it has received are answered.
    """
    where = listening(listen, certificate, private_key)
    chosen = settings.load()
    logs.configure(chosen, "smtp")
    lazy.attribute("cli.submission.server:serve", EXTRA)(url, where, chosen)
