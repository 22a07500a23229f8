"""Amazon SNS: Publish to a phone number, in the query protocol of AWS, which answers in XML."""

from __future__ import annotations

import html
import re
from urllib.parse import urlencode

from actors.channels import ProviderDown, Receipt, Refused, Throttled, Uncertain, Undelivered
from actors.channels.http_api import Answer, Request
from actors.channels.http_judging import SenderRefused, taken, unquoted, words
from actors.channels.sigv4 import signed
from actors.channels.sms.judging import OptedOut, refusal
from actors.channels.sms.senders import is_number
from actors.channels.sms.text import Text
from settings.http_account import HttpAccount

_CODES: dict[object, type[Undelivered]] = {
    **dict.fromkeys(("InvalidParameter", "InvalidParameterValue", "ParameterValueInvalid", "UserError"), Refused),
    **dict.fromkeys(("ValidationException", "ValidationError", "MissingParameter"), Refused),
    **dict.fromkeys(("EndpointDisabled", "PlatformApplicationDisabled"), Refused),
    "OptedOut": OptedOut,
    **dict.fromkeys(("Throttled", "Throttling", "ThrottlingException", "KMSThrottling"), Throttled),
    # Key, rights or settings of the account, or the clock of this machine.
    **dict.fromkeys(("AuthorizationError", "AccessDenied", "AccessDeniedException", "NotAuthorized"), ProviderDown),
    **dict.fromkeys(("InvalidClientTokenId", "MissingAuthenticationToken", "IncompleteSignature"), ProviderDown),
    **dict.fromkeys(("SignatureDoesNotMatch", "InvalidSecurity", "RequestExpired", "ExpiredToken"), ProviderDown),
    **dict.fromkeys(("ExpiredTokenException", "OptInRequired", "NotFound"), ProviderDown),
    **dict.fromkeys(("KMSDisabled", "KMSInvalidState", "KMSNotFound", "KMSOptInRequired"), ProviderDown),
    "KMSAccessDenied": ProviderDown,
    "ServiceUnavailable": ProviderDown,
    "InternalError": Uncertain,
    "InternalFailure": Uncertain,
}
_SENDER = re.compile(r"\b(?:SenderID|OriginationNumber)\b", re.IGNORECASE)


def request(text: Text, account: HttpAccount) -> Request:
    """Return the signed request."""
    attributes = {"AWS.SNS.SMS.SMSType": "Transactional"}
    if text.sender:
        attributes["AWS.MM.SMS.OriginationNumber" if is_number(text.sender) else "AWS.SNS.SMS.SenderID"] = text.sender
    fields = {"Action": "Publish", "Version": "2010-03-31", "PhoneNumber": text.to, "Message": text.body}
    for number, (name, value) in enumerate(attributes.items(), 1):
        entry = f"MessageAttributes.entry.{number}"
        fields |= {
            f"{entry}.Name": name,
            f"{entry}.Value.DataType": "String",
            f"{entry}.Value.StringValue": value,
        }
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    return signed(Request(f"{account.url}/", headers, urlencode(fields).encode()), account, "sns", text.now)


def judge(answer: Answer, text: Text) -> Receipt:
    """Return the receipt, or raise what the answer means."""
    if answer.status == 200:
        return taken(answer, _element(answer, "MessageId"))
    code, said = _element(answer, "Code"), _element(answer, "Message") or words(answer)
    table = _CODES
    if table.get(code) is Refused and _SENDER.search(unquoted(said)):
        table = {code: SenderRefused}
    raise refusal(answer, f"{code}: {said}" if code else said, text, table, code)


def _element(answer: Answer, name: str) -> str:
    """Return the text of the first XML element of this name; empty if there is none.

    A parser of XML would expand entities, and would refuse an answer that is cut off.
    """
    found = re.search(rf"<{name}>([^<>]*)</{name}>", answer.body.decode("utf-8", "replace"))
    return html.unescape(found[1]).strip() if found else ""
