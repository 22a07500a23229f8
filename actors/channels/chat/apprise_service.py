"""Services that are reached through Apprise. Apprise does not report why a message failed, and may connect to
anything."""

from __future__ import annotations

import asyncio
import importlib.util
from concurrent.futures import ThreadPoolExecutor

from actors.channels import Deferred, Receipt, Refused, Uncertain
from actors.channels.chat.message import Message
from actors.channels.destination_provider import Turn
from db.destinations import Address
from db.records import Claimed
from settings.chat import ChatSettings
from settings.errors import SettingsError

THREADS = 4  # messages at a time in one process
TIMEOUT = 60.0  # seconds for one message
UNUSABLE = "unusable"


class AppriseService:
    """Kind of destinations with an Apprise URL.

    A message that Apprise did not report as sent may have been posted all the same, so its outcome is uncertain.
    """

    def __init__(self, settings: ChatSettings) -> None:
        """Raise SettingsError if services are allowed and Apprise is not installed."""
        self._services = settings.services
        if self._services and importlib.util.find_spec("apprise") is None:
            raise SettingsError(
                "APPRISE_SERVICES is set, but Apprise is not installed: pip install 'notification-system[apprise]'"
            )
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="apprise")

    async def send(self, notification: Claimed, destination: Address, turn: Turn) -> Receipt:
        scheme = destination.url.partition("://")[0].lower()
        if scheme not in self._services:
            raise Refused(f"APPRISE_SERVICES does not allow {scheme}", phase="prepare")
        message = Message.of(notification)
        if not await turn.begin():
            raise Deferred("another worker has claimed the notification", phase="prepare")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(2 * TIMEOUT):  # Apprise's own limit does not cover the wait for a thread.
                result = await loop.run_in_executor(self._threads, _notify, destination.url, message)
        except TimeoutError:
            raise Uncertain(f"{scheme} did not answer in time", phase="answer") from None
        return _judged(scheme, result)


def _judged(scheme: str, result: str) -> Receipt:
    if result == "SUCCESS":
        return Receipt("answer", None, None, f"Apprise has posted it to {scheme}")
    if result == UNUSABLE:
        raise Refused(f"Apprise cannot use the URL of this {scheme} destination: correct it", phase="prepare")
    raise Uncertain(f"Apprise does not know whether {scheme} has posted it ({result.lower()})", phase="answer")


def _notify(url: str, message: Message) -> str:
    """Send a message in this thread, and return Apprise's word for the result."""
    import apprise  # noqa: PLC0415 - it is optional, and takes long to import

    service = apprise.Apprise.instantiate(url)
    if service is None:
        return UNUSABLE
    sending = apprise.Apprise([service])
    text = apprise.NotifyFormat.TEXT
    return str(sending.notify(message.text, message.subject, body_format=text, timeout=TIMEOUT).status.name)
