"""A client that uses every feature with private texts, none of which may appear in the logs."""

from __future__ import annotations

import base64
from typing import Any

from tests import keys
from tests.client import NOTIFICATIONS, Client
from tests.eventually import eventually
from tests.hooks import Hooks, status
from tests.raw_http import exchange
from tests.smtp import Reply, SmtpServer
from tests.system import System

# Each has its own word, so that a test that fails says what came through.
WORDS = {
    "recipient": "leak-recipient",
    "refused": "leak-refused",
    "deferred": "leak-deferred",
    "sender": "leak-sender",
    "batch": "leak-batch",
    "suppressed": "leak-suppressed",
    "subject": "leak-subject",
    "message": "leak-message",
    "html": "leak-html",
    "attachment": "leak-attachment",
    "variable": "leak-variable",
    "template": "leak-text-of-a-template",
    "metadata": "leak-metadata",
    "key": "leak-idempotency-key",
    "hook": "leak-hook-token",
    "smtp": "leak-smtp-password",
    "database": "leak-database-password",
    "unsubscribe": "leak-unsubscribe-secret-of-32-characters",
    "malformed": "leak-malformed",
    "parameter": "leak-parameter",
    "path": "leak-path",
}
TEMPLATE = {"subject": "Hello {{ name }}", "text": f"{WORDS['template']} {{{{ name }}}}"}
# What is drawn during the run.
DRAWN = ("bearer", "wrong key", "callback secret", "attachment in base64")
NAMES = [*WORDS, *DRAWN]


class Run:
    """One client uses everything there is."""

    def __init__(self, system: System, mail_server: SmtpServer, hooks: Hooks) -> None:
        self.system, self.mail_server, self.hooks = system, mail_server, hooks

    def start(self) -> None:
        self.system.start_api()
        self.system.start_workers()
        self.client = Client(self.system.port)
        self.client.key = str(keys.key(self.system.sql))
        # All of its secret, in which there may be underlines too.
        WORDS["bearer"] = self.client.key.split("_", 3)[3]

    def post(self, to: str, domain: str = "recipient.example", **more: Any) -> int:
        """A notification that is full of what must not be told."""
        document: dict[str, Any] = {
            "type": "email",
            "recipient": f"{WORDS[to]}@{domain}",
            "subject": WORDS["subject"],
        }
        document |= {"message": WORDS["message"], "html": WORDS["html"], "metadata": {"a": WORDS["metadata"]}, **more}
        answer = self.client.post(NOTIFICATIONS, document, idempotency_key=f"{WORDS['key']}-{to}-{domain}")
        assert answer.status == 201, answer.raw
        return int(answer.json["id"])

    def use(self) -> None:
        """Do what works: a template, attachments, a batch, a suppression, callbacks."""
        made = self.client.post("/api/callbacks", {"url": f"{self.hooks.url}&token={WORDS['hook']}"})
        WORDS["callback secret"] = made.json["secret"]
        assert self.client.send("PUT", "/api/templates/welcome", TEMPLATE).status == 201
        content = base64.b64encode(WORDS["attachment"].encode()).decode()
        WORDS["attachment in base64"] = content
        files = [{"filename": "a.txt", "contentType": "text/plain", "content": content}]
        self.ended(self.post("recipient", attachments=files))
        self.post("recipient", attachments=files)  # The same again.
        filled = {"template": "welcome", "variables": {"name": WORDS["variable"]}}
        item = {"type": "email", "recipient": f"{WORDS['batch']}@recipient.example"}
        answer = self.client.post(f"{NOTIFICATIONS}/batch", {"items": [item | filled, item | {"message": "Hi"}]})
        assert answer.status == 201, answer.raw
        address = f"{WORDS['suppressed']}@recipient.example"
        assert self.client.post("/api/suppressions", {"address": address}).status == 201
        self.post("suppressed")
        assert self.client.get(f"/api/suppressions/{address}").status == 200
        assert self.client.request("DELETE", f"/api/suppressions/{address}").status == 204

    def go_wrong(self) -> None:
        """Do what fails: with servers that repeat what they were told, and as clients that send nonsense."""
        echo = f"{WORDS['refused']}@recipient.example: {WORDS['message']}"
        self.mail_server.on("rcpt", Reply(550, f"5.1.1 <{echo}"), to=f"{WORDS['refused']}@recipient.example")
        deferred = f"{WORDS['deferred']}@recipient.example"
        # Of two domains: what one of them has against a mail opens no breaker.
        for domain in ("recipient.example", "other.example"):
            answer = Reply(421, f"4.3.0 <{deferred}> too much, {WORDS['smtp']}")
            # Twice, because a refusal over a connection that has carried mails is tried over a new one.
            self.mail_server.on("rcpt", answer, to=f"{WORDS['deferred']}@{domain}", times=2)
        self.hooks.answer = status(500, body=WORDS["message"])
        ids = [self.post("refused"), self.post("deferred"), self.post("deferred", domain="other.example")]
        for id in ids:
            self.ended(id)
        self.client.post(NOTIFICATIONS, {"type": "email", "recipient": WORDS["malformed"], WORDS["malformed"]: 1})
        self.client.request("POST", NOTIFICATIONS, f'{{"{WORDS["malformed"]}'.encode())
        self.client.get(NOTIFICATIONS, **{WORDS["parameter"]: WORDS["parameter"]})
        self.client.get(f"/{WORDS['path']}")
        stranger = Client(self.system.port)
        stranger.key = f"ntf_live_1_{WORDS['bearer'][::-1]}"
        WORDS["wrong key"] = WORDS["bearer"][::-1]
        assert stranger.get(NOTIFICATIONS).status == 401
        for nonsense in (
            f"{WORDS['malformed']} / HTTP/1.1\r\n\r\n",
            f"GET /{WORDS['path']} {WORDS['malformed']}\r\n\r\n",
        ):
            exchange(self.system.port, nonsense.encode())

    def go_without_database(self) -> None:
        """Nothing can be stored or read."""
        document = {"type": "email", "recipient": f"{WORDS['recipient']}@x.example", "message": WORDS["message"]}
        assert self.client.post(NOTIFICATIONS, document, idempotency_key=WORDS["key"]).status == 503
        assert self.client.get(f"{NOTIFICATIONS}/1").status == 503
        log = self.system.workers[0].log
        eventually(lambda: "database.unavailable" in log.read_text(), saying=self.system.logs)

    def ended(self, id: int) -> None:
        path = f"{NOTIFICATIONS}/{id}"
        eventually(lambda: self.client.get(path).json.get("finishedAt"), within=20, saying=self.system.logs)
