"""`notify api`: gunicorn with our settings, wherever this is installed."""

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
@click.option("--check-config", is_flag=True, help="Only say, by the exit code, whether it would start.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[GUNICORN OPTIONS]")
def api(check_config: bool, options: tuple[str, ...]) -> None:
    """Run the API: gunicorn, with the gunicorn.conf.py that came with this installation.

    It becomes gunicorn and takes its signals: SIGTERM stops it in order, SIGHUP replaces its code. In a directory
    that has gunicorn.conf.py, `gunicorn` alone does the same.
    """
    command = [*program(), "--config", str(configuration()), *options]
    if check_config:
        command.append("--check-config")
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 - the whole purpose


def configuration() -> Path:
    """gunicorn.conf.py of a checkout, or else the one that the wheel has installed."""
    beside = Path(settings.__file__).parents[1] / NAME
    if beside.exists():
        return beside
    installed = metadata.distribution("notification-system").files or []
    for file in installed:
        if file.name == NAME and (path := Path(str(file.locate())).resolve()).exists():
            return path
    raise StartError(f"{NAME} is not in this installation: install the wheel anew, or run from a checkout")


def program() -> list[str]:
    """gunicorn's own script where there is one: after SIGUSR2 gunicorn cannot find itself when run as a module."""
    script = shutil.which("gunicorn", path=str(Path(sys.executable).parent))
    return [sys.executable, script] if script else [sys.executable, "-m", "gunicorn"]
