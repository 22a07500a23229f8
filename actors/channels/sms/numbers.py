"""Phone numbers in the format of ITU-T E.164, such as +41791234567.

Only the length is checked, for the country that the number belongs to. Whether a number is in use is not known here:
networks open ranges faster than any list of them is updated.
"""

from __future__ import annotations

import re

from phonenumbers import (
    SUPPORTED_REGIONS,
    NumberParseException,
    PhoneNumberFormat,
    ValidationResult,
    format_number,
    is_possible_number_with_reason,
    parse,
)

LONGEST = 40  # characters of a number as people write it
# No letters: the library would take them for digits, as in +1 800 FLOWERS.
_WRITTEN = re.compile(rf"(?=.{{3,{LONGEST}}}\Z)\+?[0-9 ()./-]*[0-9][0-9 ()./-]*")
_WANTED = "must be a phone number with its country code, such as +41791234567"
_REASONS = {
    ValidationResult.TOO_SHORT: "is too short for a phone number of its country",
    ValidationResult.TOO_LONG: "is too long for a phone number of its country",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "has no area code",
}


class NoNumber(ValueError):
    """The text is not a phone number. The message says why, as the rest of a sentence about the field."""


def is_region(code: str) -> bool:
    """Return whether a code is a region with phone numbers, such as CH (ISO 3166-1)."""
    return code in SUPPORTED_REGIONS


def normalised(text: str, region: str | None) -> str:
    """Return a number in E.164. `region`: the country of numbers without a country code; None refuses them."""
    if not _WRITTEN.fullmatch(text):
        raise NoNumber(_WANTED)
    international = text.startswith("+")
    if not international and region is None:
        raise NoNumber(f"{_WANTED}; numbers without it need a default region of the client")
    try:
        number = parse(text, None if international else region)
    except NumberParseException as error:
        unknown = error.error_type == NumberParseException.INVALID_COUNTRY_CODE
        raise NoNumber("has a country code that does not exist" if unknown else _WANTED) from None
    reason = is_possible_number_with_reason(number)
    if reason != ValidationResult.IS_POSSIBLE:
        raise NoNumber(_REASONS.get(reason, "has a length that no phone number of its country has"))
    return format_number(number, PhoneNumberFormat.E164)


def masked(number: str) -> str:
    """Return a number for logs: the country code and the last two digits, at most."""
    return f"{number[:3]}***{number[-2:]}" if len(number) > 7 else "***"
