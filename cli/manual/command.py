"""`notify man`: the man pages."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from cli.failure import Refused
from cli.manual import roff
from cli.manual.pages import pages


@click.command(short_help="Print or write the man pages.")
@click.argument("command", nargs=-1)
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write all pages there, e.g. /usr/local/share/man/man1.",
)
@click.pass_context
def man(context: click.Context, command: tuple[str, ...], directory: Path | None) -> None:
    """Print the man page of COMMAND, or of `notify` itself; with --directory, write them all."""
    root = context.find_root().command
    if not isinstance(root, click.Group):
        raise Refused("There are no commands to tell of")
    if directory is not None and command:
        raise click.UsageError("--directory writes all pages: give no COMMAND with it.")
    all_ = {page.path: page for page in pages(root)}
    if directory is None:
        if (path := " ".join(command)) not in all_:
            raise Refused(f"There is no command {path!r}: see notify --help")
        click.echo(roff.roff(all_[path], _version(), _day()), nl=False)
        return
    directory.mkdir(parents=True, exist_ok=True)
    for page in all_.values():
        (directory / roff.file_name(page)).write_text(roff.roff(page, _version(), _day()))
    click.echo(f"{len(all_)} pages are in {directory}")


def _version() -> str:
    try:
        return version("notification-system")
    except PackageNotFoundError:  # Run from a checkout that is not installed.
        return ""


def _day() -> str:
    """Today; or what a build that can be repeated says instead (reproducible-builds.org)."""
    said = os.environ.get("SOURCE_DATE_EPOCH", "")
    seconds = int(said) if said.isdecimal() else time.time()
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
