"""What `notify send` makes of its options for mail."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from mimetypes import guess_type
from pathlib import Path

import click

OURS = "ours"


def headers(_context: click.Context, _option: click.Parameter, given: Sequence[str]) -> dict[str, str]:
    """`Name: value`, as a mail has them."""
    named = {}
    for header in given:
        name, colon, value = header.partition(":")
        if not colon:
            raise click.BadParameter(f"{header!r} must look like 'X-Campaign: spring'")
        named[name.strip()] = value.strip()
    return named


def unsubscribe(_context: click.Context, _option: click.Parameter, given: str | None) -> dict[str, str] | bool | None:
    """A URL of one's own, or True for a link that the API makes."""
    return True if given == OURS else {"url": given} if given else None


def attachments(_context: click.Context, _option: click.Parameter, given: Sequence[Path]) -> list[dict[str, str]]:
    """Files as the API wants them; their type is guessed by their name."""
    return [
        {
            "filename": path.name,
            "contentType": _type(path.name),
            "content": b64encode(path.read_bytes()).decode(),
        }
        for path in given
    ]


def _type(name: str) -> str:
    kind, encoding = guess_type(name)
    return kind if kind and not encoding else "application/octet-stream"
