"""Templates in the database: version numbers are used once, and versions never change."""

from __future__ import annotations

from functools import partial

import pytest

from db import templates
from db.database import rows
from db.templates import Content
from tests.integration.racing import at_once

pytestmark = pytest.mark.usefixtures("store")

MOST = 1_000
FIRST = Content("Hi", "Hello", "<p>Hello</p>", {"type": "object", "properties": {"b": {}, "a": {}}})


def put(text: str = "Hello", name: str = "welcome", client_id: int = 1) -> tuple[int, bool]:
    row, made = templates.put(client_id, name, FIRST._replace(text=text), MOST)
    return row["version"], made


def test_each_change_makes_a_version_and_the_same_content_makes_none() -> None:
    assert [put("a"), put("a"), put("b"), put("b"), put("a")] == [
        (1, True),
        (1, False),
        (2, True),
        (2, False),
        (3, True),
    ]
    assert [row["text"] for row in templates.versions(1, "welcome", None, 10)] == ["a", "b", "a"]


def test_another_order_of_fields_in_a_schema_makes_no_version() -> None:
    templates.put(1, "welcome", FIRST, MOST)
    other = FIRST._replace(schema={"properties": {"a": {}, "b": {}}, "type": "object"})

    assert templates.put(1, "welcome", other, MOST)[1] is False


def test_fifty_simultaneous_puts_get_fifty_numbers() -> None:
    for _ in range(5):
        made = at_once([partial(put, f"text {n}") for n in range(50)])

        assert sorted(number for number, _ in made) == list(range(1, 51))
        assert all(new for _, new in made)
        texts = {row["text"] for row in templates.versions(1, "welcome", None, 100)}
        assert len(texts) == 50
        rows("TRUNCATE templates, template_names")


def test_fifty_simultaneous_puts_of_the_same_content_make_one_version() -> None:
    for _ in range(5):
        made = at_once([put] * 50)

        assert {number for number, _ in made} == {1}
        assert sum(new for _, new in made) == 1
        rows("TRUNCATE templates, template_names")


def test_a_version_number_is_not_reused_after_a_deletion() -> None:
    put("a")
    put("b")
    assert templates.delete(1, "welcome")
    assert templates.newest(1, "welcome") is None
    assert templates.version(1, "welcome", 1) is None
    assert templates.names(1, None, 10) == []
    assert not templates.delete(1, "welcome")

    assert put("b") == (3, True)


def test_simultaneous_deletions_and_puts_leave_a_whole_template_or_none() -> None:
    for round in range(20):
        at_once([*(partial(put, f"{round} {n}") for n in range(5)), *[partial(templates.delete, 1, "welcome")] * 2])

        [(version, digest)] = rows("SELECT version, digest FROM template_names")
        found = [row["version"] for row in templates.versions(1, "welcome", None, 100)]
        assert bool(found) == (digest is not None)
        assert not found or found[0] == version


def test_versions_of_another_client_are_not_seen_or_counted() -> None:
    put("a")
    assert put("b", client_id=2) == (1, True)
    assert templates.delete(2, "welcome")

    newest = templates.newest(1, "welcome")
    assert newest is not None
    assert newest["text"] == "a"


def test_the_number_of_versions_of_a_client_is_limited() -> None:
    templates.put(1, "a", FIRST, 2)
    templates.put(1, "b", FIRST, 2)
    with pytest.raises(templates.TooMany):
        templates.put(1, "c", FIRST, 2)

    assert templates.put(1, "a", FIRST, 2)[1] is False
    assert templates.put(2, "c", FIRST, 2)[1] is True
    templates.delete(1, "b")
    assert templates.put(1, "c", FIRST, 2)[1] is True


def test_lists_are_paged() -> None:
    for name in "bca":
        put(name=name)
        put("x", name=name)

    assert [row["name"] for row in templates.names(1, None, 2)] == ["a", "b"]
    assert [(row["name"], row["version"]) for row in templates.names(1, "b", 2)] == [("c", 2)]
    assert [row["version"] for row in templates.versions(1, "a", 2, 5)] == [1]
