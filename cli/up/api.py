"""`notify api`: run gunicorn with the configuration of this installation."""

from __future__ import annotations

import os
import shutil
import sys
from importlib import metadata
from pathlib import Path

import click

import settings
from cli.servers import StartError

NAME = "gunicorn.conf.py"


@click.command(
    short_help="Run the API.", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.option("--check-config", is_flag=True, help="Only check the configuration: exit with 0 if it would start.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[GUNICORN OPTIONS]")
def api(check_config: bool, options: tuple[str, ...]) -> None:
    """Run the API: gunicorn, with the gunicorn.conf.py of this installation.

    The process becomes gunicorn and obeys its signals: SIGTERM stops it in order, SIGHUP reloads the code. In a
    directory that has gunicorn.conf.py, `gunicorn` alone does the same.
    """
    command = [*program(), "--config", str(configuration()), *options]
    if check_config:
        command.append("--check-config")
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 - the whole purpose


def configuration() -> Path:
    """Return the path of gunicorn.conf.py: of the checkout, or else the one that the wheel installed."""
    beside = Path(settings.__file__).parents[1] / NAME
    if beside.exists():
        return beside
    installed = metadata.distribution("notification-system").files or []
    for file in installed:
        if file.name == NAME and (path := Path(str(file.locate())).resolve()).exists():
            return path
    raise StartError(f"{NAME} is missing in this installation: install the package again, or run from a checkout")


def program() -> list[str]:
    """Return the command of gunicorn: its script if there is one, because `-m gunicorn` breaks upgrades by SIGUSR2."""
    script = shutil.which("gunicorn", path=str(Path(sys.executable).parent))
    return [sys.executable, script] if script else [sys.executable, "-m", "gunicorn"]
