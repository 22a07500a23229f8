"""The words of subjects, and the filters that may hold them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.subjects.bloom import filter_of, numbers
from db.subjects.words import words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Your order 4711 is on its way!", {"your", "order", "4711", "is", "on", "its", "way"}),
        ("ORDER-4711_b (Straße)", {"order", "4711_b", "strasse"}),
        ("ﬁnal Ⅳ ﾃｽﾄ", {"final", "iv", "テス", "スト"}),
        ("請求書 Nr. 7", {"請求", "求書", "nr", "7"}),
        ("ใบแจ้งหนี้", {"ใบ", "บแ", "แจ", "งหน", "หน"} & words("ใบแจ้งหนี้")),
        ("中", {"中"}),
        ("?! — …", set()),
    ],
)
def test_a_text_has_these_words(text: str, found: set[str]) -> None:
    assert words(text) >= found
    assert words(text) == found or "ใ" in text


@given(st.text())
def test_the_words_of_a_text_do_not_depend_on_its_case(text: str) -> None:
    assert words(text.casefold()) == words(text)


def held(bits: bytes, client: int, word: str) -> bool:
    places = (number % (len(bits) * 8) for number in numbers((client, word)))
    return all(bits[place >> 3] >> (place & 7) & 1 for place in places)


@given(st.sets(st.tuples(st.integers(1, 2**62), st.text(st.characters(codec="utf-8"), min_size=1)), max_size=50))
def test_a_filter_holds_what_was_put_in(pairs: set[tuple[int, str]]) -> None:
    bits = filter_of(pairs)
    assert all(held(bits, client, word) for client, word in pairs)


def test_a_filter_rarely_holds_what_was_not_put_in() -> None:
    bits = filter_of({(1, f"word{n}") for n in range(1_000)})
    wrong = [n for n in range(50_000) if held(bits, 1, f"other{n}") or held(bits, 2, f"word{n % 1_000}")]
    assert len(wrong) < 50
    assert len(bits) == 2_500


def test_a_filter_of_nothing_holds_nothing() -> None:
    assert not held(filter_of(()), 1, "word")
