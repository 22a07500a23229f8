"""What a person types into the search box is understood as one kind of search."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dashboard import search
from api.http.problems import Problem
from db.search import Search, Understood


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        ("@Example.com", Search("domain", "example.com")),
        ("@", Search("recipient", "@", "@")),
        ("Ann@Example.com", Search("recipient", "Ann@Example.com", "ann@example.com")),
        ("ann@", Search("recipient", "ann@", "ann@")),
        ("to:ann", Search("recipient", "ann", "ann")),
        ("TAG: welcome", Search("tag", "welcome")),
        ("template:welcome", Search("template", "welcome")),
        ("reason:rejected", Search("reason", "rejected")),
        ("rejected", Search("reason", "rejected")),
        ("outcome-unknown", Search("reason", "outcome-unknown")),
        ("subject:hello", Search("subject", "hello")),
        ("your order", Search("subject", "your order")),
        ("order=47=11", Search("metadata", "47=11", "order")),
        ("bounce+a=b", Search("word", "bounce+a=b")),
        ("welcome", Search("word", "welcome")),
        ("http://x", Search("word", "http://x")),
        ("tag:", Search("word", "tag:")),
    ],
)
def test_a_search_text_is_parsed_into_its_kind_and_value(typed: str, understood: Search) -> None:
    assert search.parse(typed) == understood


@pytest.mark.parametrize(("typed", "id"), [("47", "47"), ("#47", "47"), ("id: 47", "47"), ("x47", None), ("٤٧", None)])
def test_a_number_is_searched_for_as_an_id(typed: str, id: str | None) -> None:
    assert search.id_in(typed) == id


@pytest.mark.parametrize("typed", ["a\0b", "\ufffd", "a" * 255])
def test_a_text_that_cannot_be_searched_for_is_refused_by_name(typed: str) -> None:
    with pytest.raises(Problem) as refused:
        search.parse(typed)
    assert [error["parameter"] for error in refused.value.errors] == ["q"]


@given(text=st.text(st.characters(exclude_characters="\0\ufffd", exclude_categories=["Cs"]), min_size=1, max_size=254))
def test_any_text_is_refused_or_becomes_a_search_with_a_description(text: str) -> None:
    asked = search.parse(text)
    if asked.kind == "word":
        asked = asked._replace(kind="subject")
    assert search.sentence(Understood(asked, []))
    for other in search.others(Understood(asked, [])):
        assert search.parse(other.text[:254]).kind != asked.kind or len(other.text) > 254
