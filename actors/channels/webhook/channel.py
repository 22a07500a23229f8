"""The channel `webhook`."""

from __future__ import annotations

from pathlib import Path

from actors.channels.contract import Channel, Reader
from actors.channels.webhook.document import faults_at, read, shown
from settings import Settings


def _reader(_settings: Settings) -> Reader:
    return read


WEBHOOK = Channel(
    name="webhook",
    schema=Path(__file__).parent / "schema.json",
    reader=_reader,
    show=shown,
    mask=str,  # the name of a destination tells nothing about a person
    destination_faults=faults_at,
    provider="actors.channels.webhook.provider:make",
)
