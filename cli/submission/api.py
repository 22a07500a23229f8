"""Client of the notification API on the event loop of the SMTP server."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import orjson

from cli.client.http import NOTIFICATIONS
from cli.client.transport import LOOPBACK
from cli.submission.notifications import Notifications

TIMEOUT = aiohttp.ClientTimeout(total=60.0)  # seconds for a request; the API answers within its own time-outs
AGAIN = 2  # requests at most, where the connection breaks


class ApiAway(Exception):
    """The API does not answer, or what answers is not the API. The mail may have been stored."""


class Answer(NamedTuple):
    """Answer of the API to a POST. `document` is the notification, the batch or the problem."""

    status: int
    document: dict[str, Any]


class NotificationApi:
    """The API at `url`. Used as a context manager in the event loop that makes the requests."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self.address = urlsplit(url).netloc.rpartition("@")[2]  # for logs: without a password of the URL
        # The proxies of the environment (http_proxy) are for other machines.
        trust = urlsplit(url).hostname not in LOOPBACK
        self._session = aiohttp.ClientSession(
            timeout=TIMEOUT,
            trust_env=trust,
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=0),  # as many as there are SMTP connections
        )

    async def __aenter__(self) -> NotificationApi:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def admits(self, key: str) -> bool:
        """Return whether the API takes requests with this key, "" meaning none. Raises ApiAway.

        The key may still lack the scope that sending needs.
        """
        answer = await self._request("GET", "/api/limits", key)
        if answer.status in (HTTPStatus.OK, HTTPStatus.FORBIDDEN):
            return True
        if answer.status == HTTPStatus.UNAUTHORIZED:
            return False
        raise ApiAway(f"the API answered {answer.status}")

    async def store(self, notifications: Notifications, key: str) -> Answer:
        """POST notifications and return the answer. Raises ApiAway."""
        path = NOTIFICATIONS if notifications.number == 1 else f"{NOTIFICATIONS}/batch"
        headers = {"Content-Type": "application/json", "Idempotency-Key": notifications.key}
        return await self._request("POST", path, key, headers, notifications.body)

    async def _request(
        self, method: str, path: str, key: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """Make a request, and once more if the connection breaks: the idempotency key makes that safe."""
        headers = {**(headers or {}), **({"Authorization": f"Bearer {key}"} if key else {})}
        for left in reversed(range(AGAIN)):
            try:
                async with self._session.request(
                    method, self._url + path, data=body, headers=headers, allow_redirects=False
                ) as answer:
                    return Answer(answer.status, _document(await answer.read()))
            except aiohttp.ClientConnectionError as error:
                if not left or isinstance(error, TimeoutError):
                    raise ApiAway(f"no API answers at {self.address} ({type(error).__name__})") from error
            except (TimeoutError, aiohttp.ClientError) as error:
                raise ApiAway(f"the API at {self.address} did not answer ({type(error).__name__})") from error
        raise AssertionError("unreachable")


def _document(raw: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
