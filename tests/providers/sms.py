"""Providers of text messages, as their documents describe them. A message that is taken is in `sink`."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import parse_qsl

from actors.channels.sms.text import Text
from db.records import Claimed
from tests.providers.apis import KEY, SECRET, aws_authorization
from tests.providers.server import Received, Reply

QUOTED = SECRET.replace("/", "%2F").replace("+", "%2B")
URLS = {
    "twilio": f"twilio://AC1:{QUOTED}@?from=%2B15555550100",
    "vonage": f"vonage://abc:{QUOTED}@?from=%2B15555550100",
    "sns": f"sns://{KEY}:{QUOTED}@eu-west-1",
    "sms+https": f"sms+https://:{QUOTED}@sms.example.com/v1/send",
}
HELLO = Text(
    *("+41791234567", "Hi Zoë & + %", "+15555550100", False, "5.60dd710212000", datetime(2026, 1, 2, tzinfo=UTC))
)
TEXT = Claimed(5, 1, "sms", "+41791234567", "", "Hello", None, "resend", 0, datetime(2024, 1, 1, tzinfo=UTC))


class Taken(NamedTuple):
    """A message that a provider has taken; without a sender it is the provider's own."""

    to: str
    sender: str
    body: str


class Fake:
    """One provider. It gives the messages the ids `id-1`, `id-2` ...; none of them knows a message again."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.sink: list[Taken] = []
        name = "own" if kind == "sms+https" else kind
        self._serve: Callable[[Received], Reply] = getattr(self, f"_{name}")

    def __call__(self, received: Received) -> Reply:
        assert received.method == "POST"
        return self._serve(received)

    def _take(self, to: str, sender: str, body: str) -> str:
        self.sink.append(Taken(to, sender, body))
        return f"id-{len(self.sink)}"

    def _twilio(self, received: Received) -> Reply:
        if received.headers.get("authorization") != f"Basic {b64encode(f'AC1:{SECRET}'.encode()).decode()}":
            return Reply(401, {"code": 20003, "message": "Authenticate", "status": 401})
        assert received.target == "/2010-04-01/Accounts/AC1/Messages.json"
        sent = form(received)
        sender = sent.get("From") or sent["MessagingServiceSid"]
        if not sent["To"].startswith("+"):
            return Reply(400, {"code": 21211, "message": "Invalid 'To' Phone Number", "status": 400})
        return Reply(201, {"sid": self._take(sent["To"], sender, sent["Body"]), "status": "queued", "error_code": None})

    def _vonage(self, received: Received) -> Reply:
        sent = form(received)
        if (sent["api_key"], sent["api_secret"]) != ("abc", SECRET):
            return Reply(200, {"message-count": "1", "messages": [{"status": "4", "error-text": "Bad Credentials"}]})
        assert received.target == "/sms/json"
        assert sent["type"] == ("text" if sent["text"].isascii() else "unicode")
        id = self._take(f"+{sent['to']}", f"+{sent['from']}", sent["text"])
        return Reply(200, {"message-count": "1", "messages": [{"to": sent["to"], "message-id": id, "status": "0"}]})

    def _sns(self, received: Received) -> Reply:
        if received.headers.get("authorization") != aws_authorization(received, "sns"):
            return Reply(
                403, xml("Error", Type="Sender", Code="SignatureDoesNotMatch", Message="The signature is wrong")
            )
        sent = form(received)
        assert (received.target, sent["Action"], sent["Version"]) == ("/", "Publish", "2010-03-31")
        sender = sent.get("MessageAttributes.entry.2.Value.StringValue", "")
        return Reply(200, xml("PublishResult", MessageId=self._take(sent["PhoneNumber"], sender, sent["Message"])))

    def _own(self, received: Received) -> Reply:
        if received.headers.get("authorization") != f"Bearer {SECRET}":
            return Reply(401, {"detail": "wrong token"})
        sent = received.json
        return Reply(200, {"id": self._take(sent["to"], sent["from"] or "", sent["text"])})


def form(received: Received) -> dict[str, str]:
    """Return the fields of a form, each of which is there once."""
    fields = parse_qsl(received.body.decode(), keep_blank_values=True, strict_parsing=True)
    assert len(dict(fields)) == len(fields)
    return dict(fields)


def xml(name: str, **elements: str) -> bytes:
    """Return an answer of AWS with one element that has these. Their texts are XML."""
    inner = "".join(f"<{key}>{value}</{key}>" for key, value in elements.items())
    return f'<Response xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><{name}>{inner}</{name}></Response>'.encode()
