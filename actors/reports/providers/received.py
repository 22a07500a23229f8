"""Request of a provider's webhook, and the reasons for which it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import parse_qsl


class Received(NamedTuple):
    """Request as it arrived. Everything in it may be forged.

    `url`: the whole address that the provider was given, with its query, as PUBLIC_URL and the path make it; not the
    address that a proxy calls. `at`: when the request arrived, aware.
    """

    headers: Mapping[str, str]
    body: bytes
    url: str
    at: datetime

    def header(self, name: str) -> str:
        """Return the value of a header field, whose name may be written in any case; empty if there is none."""
        wanted = name.lower()
        return next((value for given, value in self.headers.items() if given.lower() == wanted), "")

    @property
    def query(self) -> dict[str, str]:
        """Names and values in the query of the address; the last one of several with the same name."""
        return dict(parse_qsl(self.url.partition("?")[2].partition("#")[0], keep_blank_values=True))


class Forged(Exception):
    """The request does not prove that it comes from the provider. The text says why."""


class Malformed(Exception):
    """The provider sent the request, but it is not what the provider documents. The text names the field."""


class Unavailable(Exception):
    """The proof could not be checked now. The provider must repeat the request."""
