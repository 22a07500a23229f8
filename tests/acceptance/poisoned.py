"""`dramatiq tests.acceptance.poisoned`: workers that die of one notification, each time they try it."""

from __future__ import annotations

import os
import signal
from typing import Any
from unittest import mock

from actors.channels import Receipt
from actors.channels.email.smtp_sender import SmtpSender
from db.records import Claimed
from tests.acceptance.troubles import POISON

_send = SmtpSender.send


async def send(self: SmtpSender, notification: Claimed, *others: Any) -> Receipt:
    """Kill the process for the poisoned recipient, as a bug in a C library does."""
    if notification.recipient == POISON:
        os.kill(os.getpid(), signal.SIGKILL)
    return await _send(self, notification, *others)


mock.patch.object(SmtpSender, "send", send).start()
