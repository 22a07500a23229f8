"""The channel `push`."""

from __future__ import annotations

from pathlib import Path

from actors.channels import contract
from actors.channels.contract import Channel
from actors.channels.push.document import Reader, shown
from actors.channels.push.recipients import masked
from settings import Settings, push_accounts


def _reader(settings: Settings) -> contract.Reader:
    return Reader(settings.callbacks.networks).read


PUSH = Channel(
    name="push",
    schema=Path(__file__).parent / "schema.json",
    reader=_reader,
    show=shown,
    mask=masked,
    accounts=tuple(push_accounts.FORMS),
    provider="actors.channels.push.providers:make",
)
