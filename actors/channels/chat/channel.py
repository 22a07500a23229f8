"""The channel `chat`."""

from __future__ import annotations

from pathlib import Path

from actors.channels.chat.document import faults_at, read, shown
from actors.channels.contract import Channel, Reader
from settings import Settings


def _reader(_settings: Settings) -> Reader:
    return read


CHAT = Channel(
    name="chat",
    schema=Path(__file__).parent / "schema.json",
    reader=_reader,
    show=shown,
    mask=str,  # the name of a destination tells nothing about a person
    destination_faults=faults_at,
    provider="actors.channels.chat.provider:make",
)
