"""Chat services, with their answers to valid and invalid requests. Posted messages are in `posted`."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.providers.server import Received, Reply

TOKEN = "123456:AAH-secret_secret_secret-wxyz"
CHAT = "-1001234567890"
CARD = "application/vnd.microsoft.card.adaptive"


class Posted(NamedTuple):
    """A message that a service has posted: which one, and its document."""

    service: str
    document: Any


class Chats:
    """All services in one, by the first part of the path."""

    def __init__(self) -> None:
        self.posted: list[Posted] = []

    def serve(self, received: Received) -> Reply:
        if not received.headers.get("content-type", "").startswith("application/json"):
            return Reply(415)
        path, _, query = received.target.partition("?")
        document = received.json
        match path.split("/")[1:]:
            case ["slack", "secret"]:
                return self._slack(document)
            case ["discord", "secret"]:
                return self._discord(document, query)
            case ["teams", "secret"]:
                return self._teams(document)
            case [bot, "sendMessage"] if bot.startswith("bot"):
                return self._telegram(document, bot.removeprefix("bot"))
        return Reply(404)

    def _slack(self, document: Any) -> Reply:
        if not isinstance(document.get("text"), str) or not document["text"]:
            return Reply(400, b"no_text")
        return self._post("slack", document, Reply(200, b"ok"))

    def _discord(self, document: Any, query: str) -> Reply:
        if not 0 < len(document.get("content", "")) <= 2_000:
            return Reply(400, {"code": 50_035, "message": "Invalid Form Body"})
        id = str(len(self.posted) + 1)
        waits = "wait=true" in query.split("&")
        return self._post("discord", document, Reply(200, {"id": id}) if waits else Reply(204))

    def _telegram(self, document: Any, token: str) -> Reply:
        if token != TOKEN:
            return Reply(401, {"ok": False, "error_code": 401, "description": "Unauthorized"})
        if not 0 < len(document.get("text", "").encode("utf-16-le")) // 2 <= 4_096:
            return Reply(400, {"ok": False, "error_code": 400, "description": "Bad Request: message is too long"})
        if str(document.get("chat_id")) != CHAT:
            return Reply(400, {"ok": False, "error_code": 400, "description": "Bad Request: chat not found"})
        answer = {"ok": True, "result": {"message_id": len(self.posted) + 1}}
        return self._post("telegram", document, Reply(200, answer))

    def _teams(self, document: Any) -> Reply:
        cards = document.get("attachments", ())
        if document.get("type") != "message" or [card["contentType"] for card in cards] != [CARD]:
            return Reply(400, {"error": {"code": "TriggerInputSchemaMismatch"}})
        return self._post("teams", document, Reply(202))

    def _post(self, service: str, document: Any, reply: Reply) -> Reply:
        self.posted.append(Posted(service, document))
        return reply
