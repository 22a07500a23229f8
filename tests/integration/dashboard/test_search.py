"""The search box of the list: its results, its description of the search, and no results of other clients."""

from __future__ import annotations

import json
import re
from urllib.parse import quote, urlencode

import pytest

from db import search
from tests.dashboard import Page, Person, logged_in
from tests.furnishing import HOSTILE
from tests.integration.api import Api
from tests.keys import client


def add(api: Api, of: int, recipient: str = "a@example.com", subject: str = "Hi", **more: object) -> int:
    """A sent notification, or one of the status that `more` names."""
    status = more.pop("status", "sent")
    values = {"type": "email", "recipient": recipient, "subject": subject, "message": "Hello", "client_id": of}
    values |= {"status": status, "next_attempt_at": "now()", "dispatch_after": "now()", "finished_at": None}
    if status != "pending":
        values |= {"next_attempt_at": None, "dispatch_after": None, "finished_at": "now()"}
    values |= {name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in more.items()}
    places = ", ".join(["%s"] * len(values))
    [(id,)] = api.sql.rows(
        f"INSERT INTO notifications ({', '.join(values)}) VALUES ({places}) RETURNING id", *values.values()
    )
    return int(id)


def ids(page: Page) -> list[int]:
    return [int(id) for id in re.findall(r'class="strong" href="/notifications/(\d+)"', page.html)]


def found(person: Person, typed: str, **filters: str) -> list[int]:
    page = person.get(f"/notifications?{urlencode({'q': typed, **filters})}")
    assert page.status == 200, page.text
    return ids(page)


def test_a_recipient_is_found_in_any_case_and_among_the_copies(api: Api, owner: int, person: Person) -> None:
    mine = add(api, owner, "ann@example.com")
    mixed = add(api, owner, "Ann@Example.com", mailboxes=["ann@example.com"])
    copied = add(api, owner, "bob@example.com", mailboxes=["bob@example.com", "ann@example.com"])
    add(api, owner, "ann@example.com.au")
    assert found(person, "ANN@example.COM") == [copied, mixed, mine]
    assert "To ANN@example.COM" in person.get("/notifications?q=ANN%40example.COM").text


def test_recipients_are_found_by_their_beginning(api: Api, owner: int, person: Person) -> None:
    mine = [add(api, owner, f"{name}@example.com", mailboxes=[f"{name.lower()}@example.com"])
            for name in ("anna", "Anne", "ANN", "bob", "an.n")]  # fmt: skip
    assert found(person, "ann") == mine[2::-1]
    assert found(person, "to:AN") == [mine[4], *mine[2::-1]]
    assert found(person, "anne@ex") == [mine[1]]
    assert found(person, "to:x") == []


def test_too_many_recipients_with_the_same_beginning_are_reported(api: Api, owner: int, person: Person) -> None:
    for number in range(search.ADDRESSES + 1):
        add(api, owner, f"user{number}@example.com")
    page = person.get("/notifications?q=user")
    assert f"More than {search.ADDRESSES} recipients begin so" in page.text
    assert "More than" not in person.get("/notifications?q=user1").text


def test_a_search_for_several_recipients_is_paged(api: Api, owner: int, person: Person) -> None:
    mine = [add(api, owner, f"{name}@example.com") for _ in range(5) for name in ("carl", "cara", "carol")]
    seen: list[int] = []
    path = "/notifications?q=car&limit=4"
    while path:
        page = person.get(path)
        seen += ids(page)
        following = re.search(r'href="([^"]+)" rel="next"', page.html)
        path = following[1].replace("&amp;", "&") if following else ""
    assert seen == mine[::-1]


def test_a_domain_is_found_whatever_the_status(api: Api, owner: int, person: Person) -> None:
    sent = add(api, owner, "a@one.example")
    failed = add(api, owner, "b@ONE.example", status="failed", failure_reason="rejected")
    waits = add(api, owner, "c@one.example", status="pending")
    add(api, owner, "one.example@two.example")
    add(api, owner, "d@sub.one.example")
    assert found(person, "@One.Example") == [waits, failed, sent]
    assert found(person, "@one.example", status="pending") == [waits]
    assert found(person, "@one.example", status="sent") == [sent]
    assert "To recipients at one.example" in person.get("/notifications?q=%40one.example").text


def test_words_of_a_subject_are_found_in_any_order_and_case(api: Api, owner: int, person: Person) -> None:
    mine = add(api, owner, subject="Your Invoice for October")
    add(api, owner, subject="Your invoice")
    assert found(person, "october INVOICE") == [mine]
    assert found(person, "subject:October") == [mine]
    assert found(person, "subject:Octob") == []
    assert found(person, "part:Octob") == [mine]
    assert found(person, "100% _") == found(person, "subject:?!") == []


def test_tags_metadata_templates_and_reasons_are_found(api: Api, owner: int, person: Person) -> None:
    tagged = add(api, owner, tags=["welcome", "x"])
    meant = add(api, owner, metadata={"order": "4711"})
    made = add(api, owner, template="receipt", template_version=1)
    waits = add(api, owner, template="receipt", template_version=1, status="pending")
    failed = add(api, owner, status="failed", failure_reason="suppressed")
    assert found(person, "tag:welcome") == found(person, "welcome") == [tagged]
    assert found(person, "order=4711") == [meant]
    assert found(person, "order=4712") == []
    assert found(person, "template:receipt") == [waits, made]
    assert found(person, "template:receipt", status="pending") == [waits]
    assert found(person, "template:receipt", status="sent") == [made]
    assert found(person, "suppressed") == [failed]
    assert found(person, "suppressed", status="sent") == []


def test_a_word_is_taken_as_template_then_tag_then_recipient_then_subject(api: Api, owner: int, person: Person) -> None:
    """The name of a template before a tag, a tag before a recipient, a recipient before a subject."""
    said = "With these words in the subject: spring"
    assert said in person.get("/notifications?q=spring").text
    add(api, owner, "spring@example.com")
    assert "To spring…" in person.get("/notifications?q=spring").text
    add(api, owner, tags=["spring"])
    assert "With the tag spring" in person.get("/notifications?q=spring").text
    api.sql.rows("INSERT INTO template_names (client_id, name, version) VALUES (%s, 'spring', 1) RETURNING 1", owner)
    page = person.get("/notifications?q=spring")
    assert "Made from the template spring" in page.text
    assert 'href="/notifications?q=tag%3Aspring"' in page.html


def test_a_frequent_tag_is_found_page_by_page(api: Api, owner: int, person: Person) -> None:
    api.sql.rows(
        "INSERT INTO notifications (type, recipient, subject, message, client_id, status, finished_at, next_attempt_at,"
        " dispatch_after, tags) SELECT 'email', 'a@example.com', 'Hi', 'Hello', %s, 'sent', now(), NULL, NULL,"
        " '[\"all\"]' FROM generate_series(1, %s) RETURNING 1",
        *(owner, search.RARE + 1),
    )
    assert len(found(person, "tag:all")) == 50


def test_a_tag_is_found_together_with_the_tag_of_the_filter(api: Api, owner: int, person: Person) -> None:
    both = add(api, owner, tags=["red", "blue"])
    add(api, owner, tags=["red"])
    assert found(person, "tag:red", tag="blue") == [both]


def test_an_id_opens_its_notification(person: Person) -> None:
    for typed in ("4711", "#4711", "id:4711"):
        assert person.get(f"/notifications?q={quote(typed)}").headers["location"] == "/notifications/4711"


@pytest.mark.parametrize(
    "typed",
    [
        "mine@mine.example",
        "mine",
        "@mine.example",
        "only mine",
        "part:min",
        "tag:mine",
        "of=mine",
        "template:mine",
        "rejected",
    ],
)
def test_a_search_finds_nothing_of_another_client(api: Api, owner: int, person: Person, typed: str) -> None:
    id = add(
        api, owner, "mine@mine.example", "only mine", status="failed", failure_reason="rejected", tags=["mine"],
        metadata={"of": "mine"}, template="mine", template_version=1, mailboxes=["mine@mine.example"],
    )  # fmt: skip
    assert id in found(person, typed)
    stranger = logged_in(api, of=client(api.sql, f"stranger {typed}"))
    assert found(stranger, typed) == []


def test_a_callback_is_never_found(api: Api, owner: int, person: Person) -> None:
    add(api, owner, "callback/1", "notification.sent", type="callback", lane="callback", callback_id=1, subject_id=1)
    for typed in ("callback/1", "to:callback", "notification.sent now", "subject:notification.sent"):
        assert found(person, typed) == []


@pytest.mark.parametrize("typed", [HOSTILE[:250], "%00", "'; DROP TABLE notifications", "%s %(x)s", "\\", "x" * 255])
def test_hostile_search_texts_are_searched_for_or_refused(person: Person, typed: str) -> None:
    page = person.get(f"/notifications?{urlencode({'q': typed})}")
    assert page.status in (200, 400)
    assert "<script>alert" not in page.html
    if page.status == 400:
        assert "<code>q</code> must have up to 254 characters" in page.html


def test_a_partial_search_says_how_far_it_has_read(api: Api, owner: int, person: Person) -> None:
    api.sql.rows(
        "INSERT INTO notifications (type, recipient, subject, message, client_id, status, finished_at, next_attempt_at,"
        " dispatch_after, created_at) SELECT 'email', 'a@example.com', 'Hi', 'Hello', %s, 'sent', now(), NULL, NULL,"
        " timestamptz '2024-01-02 00:00Z' + n * interval '1 second' FROM generate_series(1, 10100) AS n RETURNING 1",
        owner,
    )
    old = add(api, owner, subject="A needle here", created_at="2024-01-01 00:00Z")
    page = person.get("/notifications?q=part:a+needl")
    assert "No match so far" in page.text
    assert "searched back to 2024-01-02 00:01:41 UTC" in page.text
    following = re.search(r'href="([^"]+)" rel="next"', page.html)
    assert following
    assert ids(person.get(following[1].replace("&amp;", "&"))) == [old]


def test_the_sandbox_is_hidden_on_request(api: Api, owner: int, person: Person) -> None:
    live, test = add(api, owner), add(api, owner, sandbox=True)
    assert found(person, "") == [test, live]
    assert found(person, "", sandbox="false") == [live]
    assert found(person, "a@example.com", sandbox="true") == [test]
