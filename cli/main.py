"""`notify`: the console command. terminal/failure.py defines its exit codes."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any

import click
from click.exceptions import NoSuchCommand
from click.shell_completion import CompletionItem

from cli import lazy
from cli.manual.pages import equip, summary
from cli.servers import StartError
from cli.terminal.failure import Misconfigured, Refused, Stopped
from settings import SettingsError

COMMANDS = {
    "up": "cli.up.command:up",
    "api": "cli.up.api:api",
    "smtp": "cli.submission.command:smtp",
    "bounces": "cli.bounces.command:bounces",
    "migrate": "cli.operator.migrate:migrate",
    "send": "cli.client.send:send",
    "status": "cli.client.notifications:status",
    "list": "cli.client.notifications:list_",
    "timeline": "cli.client.following:timeline",
    "follow": "cli.client.follow:follow",
    "history": "cli.client.history:history",
    "limits": "cli.client.following:limits",
    "templates": "cli.client.templates:templates",
    "suppressions": "cli.client.suppressions:suppressions",
    "callbacks": "cli.client.callbacks:callbacks",
    "destinations": "cli.client.destinations:destinations",
    "cancel": "cli.client.control:cancel",
    "retry": "cli.client.control:retry",
    "pause": "cli.client.control:pause",
    "resume": "cli.client.control:resume",
    "inbox": "cli.up.inbox:inbox",
    "doctor": "cli.doctor.command:doctor",
    "top": "cli.top.command:top",
    "queues": "cli.operator.queues:queues",
    "workers": "cli.operator.workers:workers",
    "providers": "cli.operator.providers:providers",
    "drain": "cli.operator.drain:drain",
    "retention": "cli.operator.retention:retention",
    "erase": "cli.operator.erase:erase",
    "export": "cli.operator.export:export",
    "audit": "cli.operator.audit:audit",
    "heartbeat": "cli.operator.heartbeat:heartbeat",
    "clients": "cli.operator.clients:clients",
    "domains": "cli.operator.domains:domains",
    "keys": "cli.operator.keys:keys",
    "completion": "cli.completion.command:completion",
}


class Commands(click.Group):
    """Group that imports the module of a command when the command is used, and turns errors into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command with this name, or None."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = lazy.attribute(COMMANDS[cmd_name])
        return equip(command, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that `args` begin with; for an unknown one suggest those with a similar name."""
        try:
            return super().resolve_command(ctx, args)
        except NoSuchCommand as error:
            # click suggests only commands that are imported, and none is.
            raise NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the summaries from examples.json: three times as fast as importing every command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._summary(ctx, name)) for name in self.list_commands(ctx)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the completions of a command's name, with summaries, without importing any command."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        found = [CompletionItem(name, help=self._summary(ctx, name)) for name in names]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. An error that the user can fix is printed as one sentence, without a traceback."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            raise Misconfigured(str(error)) from error
        except StartError as error:
            raise Refused(str(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            raise Refused(f"{error.filename or 'The system reported'}: {error.strerror or error}") from error
        except KeyboardInterrupt:
            raise Stopped("Stopped.") from None

    def _summary(self, ctx: click.Context, name: str) -> str:
        command = None if summary(name) else self.get_command(ctx, name)
        return command.get_short_help_str() if command else summary(name)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="notification-system")
def notify() -> None:
    """Send notifications, and operate the system that sends them.

    The system loses no notification that it has accepted. It sends a mail a second time only where the outcome of
    the first attempt cannot be known; `onUncertain` decides that case.
    """


def main() -> None:
    """Run the console command."""
    for stream in (sys.stdout, sys.stderr):
        # A character that the terminal's encoding lacks is printed as an escape, instead of a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    equip(notify, "")
    # None means colours on a terminal only. NO_COLOR turns them off everywhere (no-color.org).
    notify(prog_name="notify", color=False if os.environ.get("NO_COLOR") else None)


if __name__ == "__main__":
    main()
