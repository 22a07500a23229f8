"""Amazon SES: SendEmail of its API version 2, with the whole mail."""

from __future__ import annotations

import orjson

from actors.channels import ProviderDown, Receipt, Refused, Throttled, Undelivered
from actors.channels.email.http.judging import ByWords, refusal
from actors.channels.email.http.outgoing import Outgoing, in_base64
from actors.channels.http_api import Answer, Request
from actors.channels.http_judging import SenderRefused, document, taken, words
from actors.channels.sigv4 import signed
from actors.reports.reference import REFERENCE
from settings.http_account import HttpAccount

TITLE = "SES"
_DAILY = "Daily message quota exceeded"
_CODES: dict[object, type[Undelivered]] = {
    "MessageRejected": ByWords,  # content, or an address that is not verified
    "BadRequestException": Refused,
    "MailFromDomainNotVerifiedException": SenderRefused,
    "TooManyRequestsException": Throttled,
    "ThrottlingException": Throttled,
    "LimitExceededException": ProviderDown,
    "AccountSuspendedException": ProviderDown,
    "SendingPausedException": ProviderDown,
    "NotFoundException": ProviderDown,
    _DAILY: ProviderDown,
    503: ProviderDown,  # "a temporary failure of the server": nothing was done
}


def request(outgoing: Outgoing, account: HttpAccount) -> Request:
    """Return the signed request. The recipients are those of the envelope; the mail says who is a copy."""
    mail = outgoing.mail(TITLE)
    fields: dict[str, object] = {
        "FromEmailAddress": mail.sender,
        "Destination": {"ToAddresses": mail.recipients},
        "Content": {"Raw": {"Data": in_base64(mail.content)}},
    }
    if outgoing.token:
        fields["EmailTags"] = [{"Name": REFERENCE, "Value": outgoing.token}]
    body = orjson.dumps(fields)
    unsigned = Request(f"{account.url}/v2/email/outbound-emails", {"Content-Type": "application/json"}, body)
    return signed(unsigned, account, "ses", outgoing.now)


def judge(answer: Answer, blamed: type[Undelivered]) -> Receipt:
    """Return the receipt, or raise what the answer means."""
    said = document(answer)
    if answer.status == 200:
        return taken(answer, said.get("MessageId"))
    code = answer.headers.get("x-amzn-ErrorType") or str(said.get("__type", ""))
    code = code.partition(":")[0].rpartition("#")[2]
    text = str(said.get("message") or said.get("Message") or words(answer))
    daily = _DAILY if _DAILY in text else ""
    raise refusal(answer, f"{code}: {text}" if code else text, blamed, _CODES, daily, code, answer.status)
