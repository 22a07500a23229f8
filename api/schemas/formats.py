"""Formats of the fields of requests. A format says why a value does not have it."""

from __future__ import annotations

import re

from jsonschema import FormatChecker

from actors.channels import addresses
from actors.channels.email.addresses import address_fault
from actors.channels.email.domains.names import domain_fault
from actors.channels.email.mailboxes import NotOne, holds_addresses, split
from actors.channels.sms.numbers import is_region
from actors.channels.sms.senders import PREFIX, NoSender, normalised_sender
from api.http.times import NoTime, moment
from settings.hosts import MAX_DOMAIN_NAME

LONGEST_URL = 900  # characters: it has to fit into one line of a mail, of at most 998
LONGEST_TIME = 64  # characters: enough for any fraction of a second
LONGEST_MAILBOX = 1_000  # characters; longer texts are refused by their maxLength
LONGEST_ADDRESS = 254  # octets: RFC 5321, 4.5.3.1.3, without the angle brackets
TEMPLATE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# Controls (C0, DEL, C1) and Unicode's line separators. Joiners and wide spaces are allowed: many languages need them.
_NOT_IN_ONE_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_METADATA_KEY = re.compile("[A-Za-z0-9_.-]+")
_PRINTABLE = re.compile("[\x20-\x7e]*")

_HTTPS = re.compile(r"https://[A-Za-z0-9.-]+(?::\d{1,5})?(?:[/?][A-Za-z0-9._~:/?@!$&'()*+,;=%-]*)?")
_WORD = r"[A-Za-z0-9!#$&^_.+-]{1,100}"
_QUOTED = r'"[A-Za-z0-9 !#-\[\]-~]{0,100}"'
# RFC 2045, 5.1, without the parameter name: `filename` has the name of the file.
_CONTENT_TYPE = re.compile(
    rf"{_WORD}/{_WORD}(?:; ?(?!name[*=]|boundary=){_WORD}=(?:{_WORD}|{_QUOTED}))*", re.ASCII | re.IGNORECASE
)
_CONTENT_ID = re.compile(r"[A-Za-z0-9._+@-]{1,100}")

# Our formats say why a value is invalid. jsonschema's own formats are too lax and are not used.
FORMATS = FormatChecker(formats=())


class Wanting(ValueError):
    """A value does not have its format; the message says why."""


@FORMATS.checks("email", raises=Wanting)
def _is_address(value: object) -> bool:
    # maxLength refuses longer values, which would take long to check.
    if isinstance(value, str) and len(value) <= LONGEST_ADDRESS and (fault := address_fault(value)):
        raise Wanting(f"must be a mail address such as name@example.com: {fault}")
    return True


@FORMATS.checks("address", raises=Wanting)
def _is_address_of_any_channel(value: object) -> bool:
    if isinstance(value, str) and len(value) <= addresses.LONGEST and (fault := addresses.address_fault(value)):
        raise Wanting(f"must be {addresses.FORMS}: {fault}")
    return True


@FORMATS.checks("mailbox", raises=Wanting)
def _is_mailbox(value: object) -> bool:
    # The time for this check grows with the square of the length.
    if isinstance(value, str) and len(value) <= LONGEST_MAILBOX:
        _is_one_line(value)
        address = _address_of(value)
        if len(address) > LONGEST_ADDRESS:
            raise Wanting(f"has an address of more than {LONGEST_ADDRESS} characters")
        if fault := address_fault(address):
            raise Wanting(f"must be a mail address, or a name followed by <name@example.com>: {fault}")
    return True


def _address_of(mailbox: str) -> str:
    try:
        return split(mailbox)[1]
    except NotOne as error:
        raise Wanting(str(error)) from None
    except ValueError:
        raise Wanting("must be a mail address, or a name followed by <name@example.com>") from None


@FORMATS.checks("display-name", raises=Wanting)
def _is_display_name(value: object) -> bool:
    if isinstance(value, str) and len(value) <= LONGEST_MAILBOX:
        _is_one_line(value)
        if holds_addresses(value):
            raise Wanting(
                "must be the name of one recipient, but contains an address: give further recipients in cc or bcc"
            )
    return True


@FORMATS.checks("https-url", raises=Wanting)
def _is_https_url(value: object) -> bool:
    if isinstance(value, str) and not (len(value) <= LONGEST_URL and _HTTPS.fullmatch(value)):
        raise Wanting(f"must be an https:// URL (RFC 3986) of at most {LONGEST_URL} characters")
    return True


@FORMATS.checks("content-type", raises=Wanting)
def _is_content_type(value: object) -> bool:
    if isinstance(value, str) and len(value) <= LONGEST_URL and not _CONTENT_TYPE.fullmatch(value):
        raise Wanting("must be a type such as application/pdf or text/csv; charset=utf-8, without the parameter name")
    return True


@FORMATS.checks("content-id", raises=Wanting)
def _is_content_id(value: object) -> bool:
    if isinstance(value, str) and not _CONTENT_ID.fullmatch(value):
        raise Wanting("must have 1 to 100 characters: letters, digits and . _ + - @")
    return True


@FORMATS.checks("one-line", raises=Wanting)
def _is_one_line(value: object) -> bool:
    if isinstance(value, str) and _NOT_IN_ONE_LINE.search(value):
        raise Wanting("must be one line without control characters")
    return True


@FORMATS.checks("sender", raises=Wanting)
def _is_sender(value: object) -> bool:
    if not isinstance(value, str) or len(value) > LONGEST_ADDRESS:
        return True
    if value.startswith(PREFIX):
        return _is_sms_sender(value.removeprefix(PREFIX))
    # A domain is checked as part of an address.
    if fault := address_fault(f"a{value}" if value.startswith("@") else value):
        raise Wanting(f"must be a mail address, or @example.com for all addresses of a domain, or sms:ACME: {fault}")
    return True


def _is_sms_sender(value: str) -> bool:
    try:
        normal = normalised_sender(value)
    except NoSender as error:
        raise Wanting(f"begins with {PREFIX}, after which it {error}") from None
    if normal != value:
        raise Wanting(f"must be written as {PREFIX}{normal}")
    return True


@FORMATS.checks("region", raises=Wanting)
def _is_region(value: object) -> bool:
    if isinstance(value, str) and not is_region(value):
        raise Wanting("must be the code of a country (ISO 3166-1) in capitals, such as CH")
    return True


@FORMATS.checks("domain", raises=Wanting)
def _is_domain(value: object) -> bool:
    if isinstance(value, str) and len(value) <= MAX_DOMAIN_NAME and (fault := domain_fault(value)):
        raise Wanting(f"must be a domain such as example.com: {fault}")
    return True


@FORMATS.checks("text", raises=Wanting)
def _is_text(value: object) -> bool:
    if isinstance(value, str) and "\0" in value:
        raise Wanting("must not contain the character U+0000")
    return True


@FORMATS.checks("metadata-key", raises=Wanting)
def _is_metadata_key(value: object) -> bool:
    if isinstance(value, str) and not _METADATA_KEY.fullmatch(value):
        raise Wanting("has a key with other characters than letters, digits, _, - and dots")
    return True


@FORMATS.checks("date-time", raises=NoTime)
def _is_time(value: object) -> bool:
    if isinstance(value, str) and len(value) <= LONGEST_TIME:
        moment(value)
    return True


@FORMATS.checks("template-name", raises=Wanting)
def _is_template_name(value: object) -> bool:
    if isinstance(value, str) and not TEMPLATE_NAME.fullmatch(value):
        raise Wanting("must have 1 to 100 of a-z A-Z 0-9 . _ -, and begin with a letter or digit")
    return True


@FORMATS.checks("key", raises=Wanting)
def _is_key(value: object) -> bool:
    if isinstance(value, str) and not _PRINTABLE.fullmatch(value):
        raise Wanting("must have only printable ASCII characters")
    return True
