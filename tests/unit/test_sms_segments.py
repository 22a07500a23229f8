"""Segments of text messages, against results that are known from the standards and from what providers charge."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.channels.sms.segments import measure, outside_gsm

# 3GPP TS 23.038, 6.2.1, in the order of the codes 0x00 to 0x7F, without the escape at 0x1B.
TABLE = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = "\f^{}\\[~]|€"
FLAG, RAINBOW = "\U0001f1ee\U0001f1f9", "\U0001f3f3\ufe0f\U0001f308"  # 4 and 5 UTF-16 units


@pytest.mark.parametrize(
    ("text", "encoding", "segments"),
    [
        *(("a" * 160, "gsm-7", 1), ("a" * 161, "gsm-7", 2), ("a" * 306, "gsm-7", 2), ("a" * 307, "gsm-7", 3)),
        *(("{" + "a" * 158, "gsm-7", 1), ("{" + "a" * 159, "gsm-7", 2), ("€" * 80, "gsm-7", 1), ("€" * 81, "gsm-7", 2)),
        # A segment of 153 septets holds 76 characters of two.
        *(("€" * 152, "gsm-7", 2), ("€" * 153, "gsm-7", 3)),
        # The escape and its character stay together: the first segment ends after 152 septets.
        *(("a" * 152 + "€" + "a" * 151, "gsm-7", 2), ("a" * 152 + "€" + "a" * 152, "gsm-7", 3)),
        *(("ç" * 70, "ucs-2", 1), ("ç" * 71, "ucs-2", 2), ("ç" * 134, "ucs-2", 2), ("ç" * 135, "ucs-2", 3)),
        *(("😜" + "2" * 68, "ucs-2", 1), ("😜" + "2" * 69, "ucs-2", 2), ("😜" + "2" * 132, "ucs-2", 2)),
        ("😜" + "2" * 133, "ucs-2", 3),
        # So do the two halves of a character beyond U+FFFF.
        *(("ç" * 66 + "😜" + "ç" * 65, "ucs-2", 2), ("ç" * 66 + "😜" + "ç" * 66, "ucs-2", 3)),
        *((FLAG + "2" * 66, "ucs-2", 1), (FLAG + "2" * 67, "ucs-2", 2)),
        *((RAINBOW + "2" * 65, "ucs-2", 1), (RAINBOW + "2" * 66, "ucs-2", 2)),
        # In UCS-2 the characters of the extension table count once.
        *(("😀" + "]" * 68, "ucs-2", 1), ("😀" + "]" * 69, "ucs-2", 2)),
        *(("\u2019", "ucs-2", 1), ("`", "ucs-2", 1), ("\t", "ucs-2", 1), ("e\u0301", "ucs-2", 1), ("é", "gsm-7", 1)),
        *(("\r\n" * 80, "gsm-7", 1), ("\r\n" * 81, "gsm-7", 2), ("a", "gsm-7", 1)),
    ],
)
def test_a_text_has_the_known_encoding_and_number_of_segments(text: str, encoding: str, segments: int) -> None:
    assert measure(text) == (encoding, segments)


def test_the_gsm_alphabet_matches_the_standard() -> None:
    assert len(TABLE) == 127
    assert len(set(TABLE)) == 127
    for character in map(chr, range(0x3000)):
        size = 1 if character in TABLE else 2 if character in EXTENSION else None
        expected = ("gsm-7", 1) if size else ("ucs-2", 1)
        assert measure(character) == expected
        if size:
            assert measure(character * (160 // size)) == ("gsm-7", 1)
            assert measure(character * (160 // size) + "a") == ("gsm-7", 2)


def test_characters_outside_the_alphabet_are_named_once_and_in_order() -> None:
    assert outside_gsm("déjà vu ç\u2019ç \u201cx\u201d", 3) == ["ç", "\u2019", "\u201c"]
    assert outside_gsm("plain", 3) == []


@given(text=st.text(st.characters(codec="utf-8"), min_size=1, max_size=700))
def test_segments_hold_the_text_and_are_as_few_as_unsplit_characters_allow(text: str) -> None:
    encoding, segments = measure(text)
    each, alone = (153, 160) if encoding == "gsm-7" else (67, 70)
    units = sum(2 if c in EXTENSION else 1 for c in text) if encoding == "gsm-7" else len(text.encode("utf-16-le")) // 2

    assert (segments == 1) == (units <= alone)
    # At most one unit of each segment stays empty, before a character that needs two.
    assert units <= max(alone, segments * each)
    assert segments == 1 or segments <= -(-units // (each - 1))
