"""Count the segments of a text message (3GPP TS 23.038 and 23.040). Providers send and charge each of them.

A text is sent in GSM-7 if its alphabet has all characters, otherwise in UCS-2. A message of several segments has a
header in each of them, which leaves less room for the text.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

# 23.038, 6.2.1: characters of one septet, and those of two: an escape and a character of the extension table.
_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("\f^{}\\[~]|€")
_GSM = _BASIC | _EXTENSION
GSM_7, UCS_2 = "gsm-7", "ucs-2"
# Units of a message of one segment, and of each segment of a longer one: septets, or UTF-16 code units.
_ALONE = {GSM_7: 160, UCS_2: 70}
_EACH = {GSM_7: 153, UCS_2: 67}


class Segments(NamedTuple):
    """Encoding of a text, `gsm-7` or `ucs-2`, and the number of its segments."""

    encoding: str
    number: int


def measure(text: str) -> Segments:
    """Return the encoding and the number of segments of a text that is not empty."""
    if _GSM.issuperset(text):
        return Segments(GSM_7, _count(GSM_7, (2 if character in _EXTENSION else 1 for character in text)))
    # UTF-16 is what networks send as UCS-2. A character beyond U+FFFF has two units (a surrogate pair).
    return Segments(UCS_2, _count(UCS_2, (2 if character > "\uffff" else 1 for character in text)))


def outside_gsm(text: str, most: int) -> list[str]:
    """Return the first characters that GSM-7 does not have, each once, and at most this many."""
    return list(islice(dict.fromkeys(character for character in text if character not in _GSM), most))


def _count(encoding: str, sizes: Iterable[int]) -> int:
    """Return the number of segments, given the units of each character. No character is split between two segments."""
    total, segments, used = 0, 1, 0
    for size in sizes:
        total += size
        if used + size > _EACH[encoding]:
            segments, used = segments + 1, 0
        used += size
    return 1 if total <= _ALONE[encoding] else segments
