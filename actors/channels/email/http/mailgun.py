"""Mailgun: POST /v3/<domain>/messages.mime, with the whole mail."""

from __future__ import annotations

from base64 import b64encode

from actors.channels import ProviderDown, Receipt, Undelivered
from actors.channels.email.http.judging import ByWords, refusal
from actors.channels.email.http.outgoing import Outgoing
from actors.channels.http_api import Answer, Request
from actors.channels.http_judging import document, taken, words
from actors.reports.reference import REFERENCE
from settings.http_account import HttpAccount

TITLE = "Mailgun"
_NO_SUCH_PATH = "Mailgun Magnificent API"  # the answer to an unknown path is 200
_CODES: dict[object, type[Undelivered]] = {_NO_SUCH_PATH: ProviderDown, 400: ByWords}


def request(outgoing: Outgoing, account: HttpAccount) -> Request:
    """Return the request. The recipients are those of the envelope; the mail says who is a copy."""
    mail = outgoing.mail(TITLE)
    boundary = f"form-{outgoing.message_id.partition('@')[0]}".encode()
    while boundary in mail.content:
        boundary += b"-"
    parts = [b'Content-Disposition: form-data; name="to"\r\n\r\n%b' % to.encode() for to in mail.recipients]
    if outgoing.token:
        parts.append(f'Content-Disposition: form-data; name="v:{REFERENCE}"\r\n\r\n{outgoing.token}'.encode())
    parts.append(
        b'Content-Disposition: form-data; name="message"; filename="mail.eml"\r\nContent-Type: message/rfc822\r\n\r\n'
        + mail.content
    )
    body = b"".join(b"--%b\r\n%b\r\n" % (boundary, part) for part in parts) + b"--%b--\r\n" % boundary
    headers = {
        "Content-Type": f'multipart/form-data; boundary="{boundary.decode()}"',
        "Authorization": f"Basic {b64encode(f'api:{account.secret}'.encode()).decode()}",
    }
    return Request(f"{account.url}/v3/{account.domain}/messages.mime", headers, body)


def judge(answer: Answer, blamed: type[Undelivered]) -> Receipt:
    """Return the receipt, or raise what the answer means."""
    said = document(answer)
    text = str(said.get("message") or words(answer))
    if answer.status == 200 and _NO_SUCH_PATH not in text:
        return taken(answer, said.get("id"))
    code = _NO_SUCH_PATH if answer.status == 200 else answer.status
    raise refusal(answer, text, blamed, _CODES, code)
