"""`notify completion`: shell scripts that complete commands, options and names."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
VARIABLE = "_NOTIFY_COMPLETE"  # as click derives it from the program's name


@click.command(short_help="Print a completion script for a shell.")
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that makes SHELL complete commands, options, their values, and names of clients.

    The names come from the database, if it answers within a second.
    """
    made = SHELLS[shell](context.find_root().command, {}, "notify", VARIABLE)
    click.echo(made.source_template % made.source_vars())
