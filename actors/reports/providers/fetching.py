"""Fetches a page of Amazon SNS, in a thread: a certificate is fetched so rarely that no connection is kept."""

from __future__ import annotations

import asyncio
import ssl
from http.client import HTTPException, HTTPSConnection
from urllib.parse import urlsplit

TIMEOUT = 10.0  # seconds without an octet, and in all
LIMIT = 100_000  # bytes


async def fetch(url: str) -> bytes:
    """Return what an https URL answers with 200. Redirects and proxies are not used.

    Raises:
        OSError: It cannot be fetched, or is too large.
    """
    async with asyncio.timeout(TIMEOUT):
        return await asyncio.to_thread(_get, url)


def _get(url: str) -> bytes:
    parts = urlsplit(url)
    connection = HTTPSConnection(parts.netloc, timeout=TIMEOUT, context=ssl.create_default_context())
    try:
        connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
        answer = connection.getresponse()
        body = answer.read(LIMIT + 1)
    except HTTPException as error:
        raise OSError(f"{parts.netloc} does not answer in HTTP") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise OSError(f"{parts.netloc} answers {answer.status}")
    if len(body) > LIMIT:
        raise OSError(f"{parts.netloc} answers more than {LIMIT} bytes")
    return body
