"""`notify`: the console command. Exit codes: 0 done, 1 refused, 2 usage, 3 no server, 4 a wrong setting."""

from __future__ import annotations

import errno
import io
import sys
from typing import Any

import click

from cli import lazy
from cli.failure import Misconfigured, Refused
from cli.servers import StartError
from settings import SettingsError

COMMANDS = {
    "up": "cli.up:up",
    "migrate": "cli.migrate:migrate",
    "send": "cli.notifications:send",
    "status": "cli.notifications:status",
    "list": "cli.notifications:list_",
    "timeline": "cli.following:timeline",
    "limits": "cli.following:limits",
    "templates": "cli.templates:templates",
    "suppressions": "cli.suppressions:suppressions",
    "callbacks": "cli.callbacks:callbacks",
    "cancel": "cli.control:cancel",
    "retry": "cli.control:retry",
    "pause": "cli.control:pause",
    "resume": "cli.control:resume",
    "inbox": "cli.inbox:inbox",
    "retention": "cli.retention:retention",
    "erase": "cli.erase:erase",
    "export": "cli.export:export",
    "audit": "cli.audit:audit",
    "heartbeat": "cli.heartbeat:heartbeat",
    "clients": "cli.clients:clients",
    "keys": "cli.keys:keys",
}


class Commands(click.Group):
    """Loads a command's module when it is used, and turns the project's errors into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order that a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, or None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = lazy.attribute(COMMANDS[cmd_name])
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a person gets one sentence, never a traceback, for what is theirs to mend."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            raise Misconfigured(str(error)) from error
        except StartError as error:
            raise Refused(str(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            raise Refused(f"{error.filename or 'The system said'}: {error.strerror or error}") from error


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="notification-system")
def notify() -> None:
    """A notification backend that loses nothing and sends nothing twice."""


def main() -> None:
    """The console command."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets its number instead of a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    notify(prog_name="notify")


if __name__ == "__main__":
    main()
