"""Marks of a text message by which reports about it are recognised: its token, and the URL that Twilio calls."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from actors.channels.email.identity import Identities
from actors.channels.sms.text import Text
from actors.reports import tokens
from actors.reports.reference import REFERENCE
from settings.hosts import is_loopback
from settings.providers import Provider
from settings.public import PublicSettings

MARKED = {"vonage"}  # providers that get the token in each message, wherever their reports go


class Reporting(NamedTuple):
    """Marks the messages of a provider. `url`: where its webhooks go; empty if it is not told. `secret`: see `of`."""

    key: bytes
    url: str
    secret: str

    @classmethod
    def of(cls, config: Provider, public: PublicSettings, identities: Identities | None) -> Reporting | None:
        """Return the maker of the marks for messages of a provider; None without keys, or if there would be none.

        The URL is that of POST /api/reports/{provider}, which takes requests only for a provider with the option
        `reports`. Twilio refuses messages with an address that it cannot reach.
        """
        if identities is None:
            return None
        reachable = public.url and not is_loopback(urlsplit(public.url).hostname or "")
        url, secret = "", ""
        if reachable and config.reports and config.reports.kind == "twilio":
            url = f"{public.url.rstrip('/')}/api/reports/{config.name}"
            secret = next(iter(config.reports.secrets), "")
        if not url and config.scheme not in MARKED:
            return None
        return cls(identities.keys[0], url, secret)

    def marked(self, text: Text, notification: int) -> Text:
        """Return a message with its marks, which are the same in every attempt."""
        token = tokens.token(notification, self.key)
        query = {REFERENCE: token} | ({"secret": self.secret} if self.secret else {})
        return text._replace(token=token, report_url=f"{self.url}?{urlencode(query)}" if self.url else "")
