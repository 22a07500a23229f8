"""Options of `notify send` for mail, as fields of the API."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from mimetypes import guess_type
from pathlib import Path

import click

OURS = "ours"


def headers(_context: click.Context, _option: click.Parameter, given: Sequence[str]) -> dict[str, str]:
    """Return the headers that were given as `Name: value`, by name."""
    named = {}
    for header in given:
        name, colon, value = header.partition(":")
        if not colon:
            raise click.BadParameter(f"{header!r} must be a name and a value, such as 'X-Campaign: spring'")
        named[name.strip()] = value.strip()
    return named


def unsubscribe(_context: click.Context, _option: click.Parameter, given: str | None) -> dict[str, str] | bool | None:
    """Return the URL that was given, or True for a link of the API."""
    return True if given == OURS else {"url": given} if given else None


def attachments(_context: click.Context, _option: click.Parameter, given: Sequence[Path]) -> list[dict[str, str]]:
    """Return the files as the API takes them; the content type is guessed from the file name."""
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
