"""Certificates with which Amazon SNS signs, fetched from Amazon once and kept."""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from urllib.parse import SplitResult, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from actors.reports.providers.received import Forged, Unavailable

# Returns what an https URL answers with 200; raises OSError if it cannot be had.
Fetch = Callable[[str], Awaitable[bytes]]

HOST = re.compile(r"sns\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?")
_PATH = re.compile(r"/SimpleNotificationService-[0-9A-Za-z]{1,64}\.pem")
KEPT = 20
# A forger who knows the name of a topic must not make us fetch without end.
FETCHES, SECONDS = 10, 60.0


class SnsCertificates:
    """Cache of certificates by their URL. One for all requests of a process."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._kept: OrderedDict[str, x509.Certificate] = OrderedDict()
        self._fetched: deque[float] = deque(maxlen=FETCHES)
        self._one_at_a_time = asyncio.Lock()

    async def key(self, url: str, now: datetime) -> RSAPublicKey:
        """Return the public key of the certificate at a URL that must be Amazon's.

        Raises:
            Forged: The URL is not one of Amazon SNS, or there is no valid certificate for RSA.
            Unavailable: It cannot be fetched now.
        """
        parts = amazon_url("SigningCertURL", url)
        if not _PATH.fullmatch(parts.path) or parts.query or parts.fragment:
            raise Forged("SigningCertURL does not have the path of a certificate of Amazon SNS")
        certificate = await self._certificate(url)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise Forged("the certificate at SigningCertURL has expired, or is not valid yet")
        key = certificate.public_key()
        if not isinstance(key, RSAPublicKey):
            raise Forged("the certificate at SigningCertURL has no RSA key")
        return key

    async def _certificate(self, url: str) -> x509.Certificate:
        async with self._one_at_a_time:
            if url not in self._kept:
                self._kept[url] = await self._load(url)
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(url)
            return self._kept[url]

    async def _load(self, url: str) -> x509.Certificate:
        now = time.monotonic()
        if len(self._fetched) == FETCHES and now - self._fetched[0] < SECONDS:
            raise Unavailable(f"more than {FETCHES} certificates were asked for within {SECONDS:g} seconds")
        self._fetched.append(now)
        try:
            pem = await self._fetch(url)
        except OSError:
            raise Unavailable("the certificate at SigningCertURL cannot be fetched now") from None
        try:
            return x509.load_pem_x509_certificate(pem)
        except ValueError:
            raise Forged("there is no certificate at SigningCertURL") from None


def amazon_url(field: str, url: str) -> SplitResult:
    """Return the parts of a URL; raise Forged unless it is https at a host of Amazon SNS, with no port and no user."""
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "https" and HOST.fullmatch(parts.netloc) and url.isascii() and url.isprintable()
    except ValueError:
        plain = False
    if not plain or any(c in url for c in " \\"):
        raise Forged(f"{field} is not an https address of Amazon SNS")
    return parts
