"""What the shell offers for a value, when Tab is pressed: names out of the database, if it answers soon."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from cli import lazy


def clients(_context: click.Context, _option: click.Parameter, begun: str) -> list[CompletionItem]:
    """Names of clients."""
    names: list[str] = lazy.attribute("cli.completion.names:clients")(begun)
    return [CompletionItem(name) for name in names]


def channels(_context: click.Context, _option: click.Parameter, begun: str) -> list[CompletionItem]:
    """All channels."""
    return [CompletionItem(name) for name in ("email", "callback") if name.startswith(begun)]
