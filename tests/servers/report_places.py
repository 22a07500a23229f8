"""Where reports come from: a real mail server between the system and a server that refuses its mails."""

from __future__ import annotations

from typing import Any, Protocol

from tests.client import NOTIFICATIONS
from tests.eventually import eventually
from tests.smtp import Reply, SmtpServer
from tests.system import System

RETURN, SENDER = "bounces.example.net", "noreply@sender.example"
UNKNOWN = Reply(550, "5.1.1 <gone@elsewhere.example>: Recipient address rejected: User unknown")


class MailServer(Protocol):
    """A mail server that can say what it did."""

    port: int

    @property
    def log(self) -> str:
        """The text of its logs."""


class Places:
    """What a test needs: a server that refuses, and the system whose mails go through a mail server."""

    def __init__(self, elsewhere: SmtpServer, system: System, mail_server: MailServer) -> None:
        self.elsewhere, self.system, self.mail_server = elsewhere, system, mail_server

    def send(self, recipient: str, **more: object) -> int:
        answer = self.system.client.post(
            NOTIFICATIONS, {"type": "email", "recipient": recipient, "message": "Hello", **more}
        )
        assert answer.status == 201, answer
        return int(answer.json["id"])

    def suppressed(self) -> list[str]:
        return [entry["address"] for entry in self.system.client.get("/api/suppressions").json["items"]]

    def outcome(self, id: int) -> dict[str, Any]:
        """Return a notification once a report about it has taken effect."""
        told = lambda: self.system.client.notification(id)["deliveryEvidence"]  # noqa: E731
        eventually(told, within=40, saying=lambda: self.system.logs() + self.mail_server.log)
        return dict(self.system.client.notification(id))
