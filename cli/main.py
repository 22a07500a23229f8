"""`notify`: the console command. What its exit codes mean stands in terminal/failure.py."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any

import click
from click.shell_completion import CompletionItem

from cli import lazy
from cli.manual.pages import equip, summary
from cli.servers import StartError
from cli.terminal.failure import Misconfigured, Refused, Stopped
from settings import SettingsError

COMMANDS = {
    "up": "cli.up.command:up",
    "api": "cli.up.api:api",
    "migrate": "cli.operator.migrate:migrate",
    "send": "cli.client.notifications:send",
    "status": "cli.client.notifications:status",
    "list": "cli.client.notifications:list_",
    "timeline": "cli.client.following:timeline",
    "follow": "cli.client.follow:follow",
    "limits": "cli.client.following:limits",
    "templates": "cli.client.templates:templates",
    "suppressions": "cli.client.suppressions:suppressions",
    "callbacks": "cli.client.callbacks:callbacks",
    "cancel": "cli.client.control:cancel",
    "retry": "cli.client.control:retry",
    "pause": "cli.client.control:pause",
    "resume": "cli.client.control:resume",
    "inbox": "cli.up.inbox:inbox",
    "doctor": "cli.doctor.command:doctor",
    "top": "cli.top.command:top",
    "queues": "cli.operator.queues:queues",
    "workers": "cli.operator.workers:workers",
    "drain": "cli.operator.drain:drain",
    "retention": "cli.operator.retention:retention",
    "erase": "cli.operator.erase:erase",
    "export": "cli.operator.export:export",
    "audit": "cli.operator.audit:audit",
    "heartbeat": "cli.operator.heartbeat:heartbeat",
    "clients": "cli.operator.clients:clients",
    "keys": "cli.operator.keys:keys",
    "completion": "cli.completion.command:completion",
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
        return equip(command, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From what is written down of each, which is three times as fast as loading them all."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._summary(ctx, name)) for name in self.list_commands(ctx)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The same for whoever presses Tab."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        found = [CompletionItem(name, help=self._summary(ctx, name)) for name in names]
        return found + click.Command.shell_complete(self, ctx, incomplete)

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
        except KeyboardInterrupt:
            raise Stopped("Stopped.") from None

    def _summary(self, ctx: click.Context, name: str) -> str:
        command = None if summary(name) else self.get_command(ctx, name)
        return command.get_short_help_str() if command else summary(name)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="notification-system")
def notify() -> None:
    """A notification backend that loses nothing it has accepted.

    A mail goes out twice only where nobody can know whether the first was taken: onUncertain decides.
    """


def main() -> None:
    """The console command."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets its number instead of a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    equip(notify, "")
    # None: where it is a terminal. NO_COLOR is what people set who want none (no-color.org).
    notify(prog_name="notify", color=False if os.environ.get("NO_COLOR") else None)


if __name__ == "__main__":
    main()
