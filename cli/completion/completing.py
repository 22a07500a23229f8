"""Shell completion of values: channels, and names of clients from the database."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from actors.channels.registry import pausable
from cli import lazy


def clients(_context: click.Context, _option: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the names of clients that begin with `begun`."""
    names: list[str] = lazy.attribute("cli.completion.names:clients")(begun)
    return [CompletionItem(name) for name in names]


def channels(_context: click.Context, _option: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the channels that begin with `begun`."""
    return [CompletionItem(name) for name in pausable() if name.startswith(begun)]
