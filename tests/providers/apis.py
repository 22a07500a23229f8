"""The APIs of the providers, with their answers to valid and invalid requests. Accepted mails are in `sink`."""

from __future__ import annotations

import email.parser
import email.policy
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any, NamedTuple
from unittest import mock
from urllib.parse import parse_qsl

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from actors.reports.reference import REFERENCE
from tests.providers.server import Received, Reply

KEY, SECRET = "AKIDEXAMPLE", "hush/Hush+hush"
URLS = {
    "ses": f"ses://{KEY}:{SECRET.replace('/', '%2F')}@eu-west-1",
    "mailgun": f"mailgun://:{SECRET.replace('/', '%2F')}@api.mailgun.net/mg.example.com",
    **{kind: f"{kind}://:{SECRET.replace('/', '%2F')}@" for kind in ("postmark", "sendgrid", "resend", "brevo")},
}


class Taken(NamedTuple):
    """A mail that a provider has taken: to whom it goes, and the document or the MIME that was posted."""

    recipients: list[str]
    content: Any


class Fake:
    """One provider. It gives the mails the ids `id-1`, `id-2` ..."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.sink: list[Taken] = []
        self.behind = 0  # searches that do not know the mails yet
        self.searches: list[dict[str, str]] = []  # their queries
        self._tokens: list[str] = []  # of the mails in `sink`
        self._keys: dict[str, str] = {}
        self._serve: Callable[[Received], Reply] = getattr(self, f"_{kind}")

    def __call__(self, received: Received) -> Reply:
        if received.method == "GET":
            return self._search(received)
        assert received.method == "POST"
        return self._serve(received)

    def _search(self, received: Received) -> Reply:
        path, _, query = received.target.partition("?")
        asked = dict(parse_qsl(query))
        self.searches.append(asked)
        known = [] if len(self.searches) <= self.behind else list(enumerate(self._tokens, 1))
        if self.kind == "postmark" and path == "/messages/outbound":
            assert received.headers["x-postmark-server-token"] == SECRET
            return Reply(200, _found_by_postmark(asked, known))
        if self.kind == "mailgun" and path == "/v3/mg.example.com/events":
            assert received.headers["authorization"] == f"Basic {b64encode(f'api:{SECRET}'.encode()).decode()}"
            to = [(n, token) for n, token in known if asked["recipient"] in self.sink[n - 1].recipients]
            return Reply(200, _found_by_mailgun(asked, to))
        return Reply(404)

    def _take(self, recipients: list[str], content: Any, token: str = "") -> str:
        self.sink.append(Taken(recipients, content))
        self._tokens.append(token)
        return f"id-{len(self.sink)}"

    def _ses(self, received: Received) -> Reply:
        wrong = {"x-amzn-ErrorType": "InvalidSignatureException:http://internal.amazon.com/"}
        if received.headers.get("authorization") != aws_authorization(received, "ses"):
            return Reply(403, {"message": "The request signature we calculated does not match"}, wrong)
        assert received.target == "/v2/email/outbound-emails"
        document = received.json
        mail = parsed(b64decode(document["Content"]["Raw"]["Data"], validate=True))
        return Reply(200, {"MessageId": self._take(document["Destination"]["ToAddresses"], mail)})

    def _postmark(self, received: Received) -> Reply:
        if received.headers.get("x-postmark-server-token") != SECRET:
            return Reply(401, {"ErrorCode": 10, "Message": "The Server Token you provided was invalid."})
        assert received.target == "/email"
        document = received.json
        to = [document["To"], *document.get("Cc", "").split(", "), *document.get("Bcc", "").split(", ")]
        id = self._take([_bare(one) for one in to if one], document, document.get("Metadata", {}).get(REFERENCE, ""))
        return Reply(200, {"To": document["To"], "MessageID": id, "ErrorCode": 0, "Message": "OK"})

    def _sendgrid(self, received: Received) -> Reply:
        if received.headers.get("authorization") != f"Bearer {SECRET}":
            return Reply(401, {"errors": [{"message": "The provided authorization grant is invalid", "field": None}]})
        assert received.target == "/v3/mail/send"
        document = received.json
        [personalization] = document["personalizations"]
        to = [one["email"] for name in ("to", "cc", "bcc") for one in personalization.get(name, ())]
        return Reply(202, b"", {"X-Message-Id": self._take(to, document)})

    def _mailgun(self, received: Received) -> Reply:
        if received.headers.get("authorization") != f"Basic {b64encode(f'api:{SECRET}'.encode()).decode()}":
            return Reply(401, b"Forbidden")
        if received.target != "/v3/mg.example.com/messages.mime":
            return Reply(200, b"Mailgun Magnificent API")
        form = parsed(f"Content-Type: {received.headers['content-type']}\r\n\r\n".encode() + received.body)
        parts = [(part.get_param("name", header="content-disposition"), part) for part in form.iter_parts()]
        to = [part.get_content().strip() for name, part in parts if name == "to"]
        [mail] = [part.get_content() for name, part in parts if name == "message"]
        token = "".join(part.get_content().strip() for name, part in parts if name == f"v:{REFERENCE}")
        return Reply(200, {"id": self._take(to, mail, token), "message": "Queued. Thank you."})

    def _resend(self, received: Received) -> Reply:
        if received.headers.get("authorization") != f"Bearer {SECRET}":
            return Reply(401, {"statusCode": 401, "name": "validation_error", "message": "API key is invalid"})
        assert received.target == "/emails"
        document, key = received.json, received.headers["idempotency-key"]
        assert len(key) <= 256
        if key not in self._keys:
            to = [_bare(one) for name in ("to", "cc", "bcc") for one in document.get(name, ())]
            self._keys[key] = self._take(to, document)
        return Reply(200, {"id": self._keys[key]})

    def _brevo(self, received: Received) -> Reply:
        if received.headers.get("api-key") != SECRET:
            return Reply(401, {"code": "unauthorized", "message": "Key not found"})
        assert received.target == "/v3/smtp/email"
        document = received.json
        if not document.get("htmlContent"):
            return Reply(400, {"code": "missing_parameter", "message": "htmlContent is missing"})
        key = document["headers"]["Idempotency-Key"]
        if key in self._keys:
            return Reply(400, {"code": "duplicate_parameter", "message": "idempotencyKey is already used"})
        to = [one["email"] for name in ("to", "cc", "bcc") for one in document.get(name, ())]
        self._keys[key] = self._take(to, document)
        return Reply(201, {"messageId": self._keys[key]})


def _found_by_postmark(asked: dict[str, str], known: list[tuple[int, str]]) -> dict[str, Any]:
    assert {"count", "offset"} <= asked.keys()
    wanted = asked[f"metadata_{REFERENCE}"]
    found = [
        {"MessageID": f"id-{n}", "Status": "Sent", "Metadata": {REFERENCE: token}}
        for n, token in known
        if token == wanted
    ]
    return {"TotalCount": len(found), "Messages": found[: int(asked["count"])]}


def _found_by_mailgun(asked: dict[str, str], known: list[tuple[int, str]]) -> dict[str, Any]:
    assert {"begin", "ascending", "event", "limit"} <= asked.keys()
    items = [
        {
            "event": asked["event"],
            "recipient": asked["recipient"],
            "user-variables": {REFERENCE: token},
            "message": {"headers": {"message-id": f"id-{n}"}},
        }
        for n, token in known
    ]
    return {"items": items[: int(asked["limit"])], "paging": {}}


def parsed(octets: bytes) -> EmailMessage:
    return email.parser.BytesParser(EmailMessage, policy=email.policy.default).parsebytes(octets)


def _bare(text: str) -> str:
    return text.rpartition("<")[2].removesuffix(">")


def aws_authorization(received: Received, service: str) -> str:
    """What AWS's own library writes for this request."""
    stamp = datetime.strptime(received.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    url = f"http://{received.headers['host']}{received.target}"
    return authorization(url, received.headers, received.body, stamp, service=service)


def authorization(  # noqa: PLR0917
    url: str,
    headers: dict[str, str],
    body: bytes,
    now: datetime,
    key: tuple[str, str] = (KEY, SECRET),
    region: str = "eu-west-1",
    service: str = "ses",
) -> str:
    """Return the Authorization that botocore computes over those of `headers` that are signed."""
    signed = {name: value for name, value in headers.items() if name.lower() in ("content-type", "host")}
    signed |= {name: value for name, value in headers.items() if name.lower().startswith("x-sign-")}
    request = AWSRequest("POST", url, signed, body)
    with mock.patch("botocore.auth.get_current_datetime", return_value=now):
        SigV4Auth(Credentials(*key), service, region).add_auth(request)
    return str(request.headers["Authorization"])
