"""The contract of a channel: what the API, the queues and the workers ask it about its notifications.

A channel is a way to reach people. It is plain data and pure functions, and imports nothing that sends: its provider is
named as text, and only workers import it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from settings import Settings
from settings.providers import Provider as ProviderSettings

Fault = dict[str, str]  # a JSON pointer (RFC 6901) as "pointer", and what has to change as "detail"


class Content(NamedTuple):
    """Content of a checked document: columns of `notifications`, and the contents of its attachments.

    `options`: all other fields of the channel, for the column `mail`. `addresses`: normalised addresses that must not
    be suppressed, the recipient first; empty if it is only the recipient as written.
    """

    recipient: str
    subject: str
    message: str
    html: str | None = None
    options: dict[str, Any] | None = None
    addresses: tuple[str, ...] = ()
    attachments: tuple[bytes, ...] = ()


class Rights(NamedTuple):
    """Rights of a client.

    `senders`: addresses and @domains for e-mail, and sms:NAME for text messages. `region`: the country of phone numbers
    without a country code; None if these are refused.
    """

    senders: Collection[str] = ()
    region: str | None = None


class Read(NamedTuple):
    """A document as the channel reads it: its content, or the faults that the schema cannot find."""

    content: Content | None
    faults: list[Fault]


def pointer(*parts: str) -> str:
    """Return the JSON pointer (RFC 6901) to a field, with the beginnings of names that are very long."""
    return "".join("/" + part[:100].replace("~", "~0").replace("/", "~1") for part in parts)


Reader = Callable[[Mapping[str, Any], Rights], Read]


def _nothing_to_check(_account: ProviderSettings, _settings: Settings) -> None:
    """Accept an account as its URL is."""


def _everyone(_account: ProviderSettings) -> str:
    """Return an empty beginning, which all recipients have."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A type of notification.

    `schema`: the JSON Schema of its own fields, `recipient` among them; all channels share the others.
    `reader`: makes the function that reads documents, once for each process. It gets the fields that conform to the
    schema, after a template is rendered. If some do not conform, it gets the others, and only its faults are used.
    `show`: from the column `mail` and the text, the channel's own fields in answers, except `recipient`, `subject`,
    `message` and `html`. `mask`: a recipient for logs.
    `accounts`: schemes of the URLs in PROVIDER_<NAME>; empty if it needs no account.
    `provider`: "module:function", which makes the provider of an account: see MakeProvider in actors/worker.py. Only
    workers import it.
    `reaches`: how the recipients begin that an account can reach; empty if it reaches all.
    `check`: raises SettingsError for an account that cannot work with the other settings.
    `destination_faults`: only if its recipients are names of destinations: the faults of content for one of this kind.
    """

    name: str
    schema: Path
    reader: Callable[[Settings], Reader]
    show: Callable[[Mapping[str, Any] | None, str], dict[str, Any]]
    mask: Callable[[str], str]
    provider: str
    accounts: tuple[str, ...] = ()
    reaches: Callable[[ProviderSettings], str] = _everyone
    check: Callable[[ProviderSettings, Settings], None] = _nothing_to_check
    destination_faults: Callable[[str, Content], list[Fault]] | None = None
