"""GET /api/notifications: the order, the filters, and paging while others post."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from actors.channels.email.document import NONE
from cli.servers.valkey import Valkey
from tests.client import NOTIFICATIONS
from tests.contract import CheckedClient, faults
from tests.integration.api import Api, running

# Newest first; what is in the list is everything but the message.
ROWS = """
INSERT INTO notifications (recipient, status, created_at, finished_at, failure_reason,
                           next_attempt_at, dispatch_after, type, subject, message)
SELECT %s, status, now() - age * interval '1 hour', done, CASE WHEN status = 'failed' THEN 'rejected' END,
       due, due, 'email', 'Hi', 'secret'
FROM (SELECT status, age, CASE WHEN status <> 'pending' THEN now() END, CASE WHEN status = 'pending' THEN now() END
      FROM unnest(%s::text[]) WITH ORDINALITY AS given (status, age)) AS r (status, age, done, due)
RETURNING id
"""


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url) as api:
        yield api


@pytest.fixture
def client(api: Api) -> Iterator[CheckedClient]:
    with api.client as client:
        yield client


@pytest.fixture
def empty(api: Api) -> None:
    api.sql.rows("DELETE FROM notifications RETURNING id")


def inserted(api: Api, recipient: str, *statuses: str) -> list[int]:
    """Ids of rows that were created one hour after another, the first one last."""
    return [id for (id,) in api.sql.rows(ROWS, recipient, list(statuses))]


def inserted_at_once(api: Api, recipient: str, count: int) -> list[int]:
    """Ids of rows that were created at exactly the same time."""
    made = api.sql.rows(
        "INSERT INTO notifications (type, recipient, subject, message)"
        " SELECT 'email', %s, 'Hi', 'secret' FROM generate_series(1, %s) RETURNING id",
        recipient,
        count,
    )
    return [id for (id,) in made]


def ids(page: Any) -> list[int]:
    return [item["id"] for item in page["items"]]


def all_pages(client: CheckedClient, **query: object) -> Iterator[Any]:
    cursor: dict[str, str] = {}
    while True:
        page = client.get(NOTIFICATIONS, **query, **cursor).json
        yield page
        if page["nextCursor"] is None:
            return
        cursor = {"cursor": page["nextCursor"]}


def test_notifications_are_listed_newest_first(api: Api, client: CheckedClient) -> None:
    posted = [client.notify("order@example.com").json["id"] for _ in range(3)]

    assert ids(client.get(NOTIFICATIONS, recipient="order@example.com").json) == posted[::-1]


def test_an_item_of_a_list_is_the_notification_without_its_message(client: CheckedClient) -> None:
    posted = client.notify("item@example.com", html="<p>secret</p>").json
    [item] = client.get(NOTIFICATIONS, recipient="item@example.com").json["items"]

    assert item == {
        name: value for name, value in posted.items() if name not in {"message", "html", "deliveryEvidence", *NONE}
    }


def test_without_a_filter_everything_is_listed(api: Api, client: CheckedClient, empty: None) -> None:
    made = inserted(api, "all@example.com", "sent", "pending", "failed")

    assert ids(client.get(NOTIFICATIONS).json) == made


@pytest.mark.parametrize("status", ["pending", "sent", "failed", "cancelled"])
def test_a_filter_by_status_lists_only_that_status(api: Api, client: CheckedClient, status: str) -> None:
    recipient = f"{status}@example.com"
    made = inserted(api, recipient, "sent", "pending", "failed", "cancelled", "sent", "pending", "failed", "cancelled")
    place = ["sent", "pending", "failed", "cancelled"].index(status)

    assert ids(client.get(NOTIFICATIONS, status=status, recipient=recipient, type="email").json) == made[place::4]


@pytest.mark.parametrize("priority", ["high", "normal", "bulk"])
def test_a_filter_by_priority_is_kept_from_page_to_page(client: CheckedClient, priority: str) -> None:
    recipient = f"{priority}-priority@example.com"
    for _ in range(3):
        for each in ("high", "normal", "bulk"):
            client.notify(recipient, priority=each)

    pages = list(all_pages(client, recipient=recipient, priority=priority, limit=2))
    assert [item["priority"] for page in pages for item in page["items"]] == [priority] * 3
    assert len(pages) == 2
    assert len(client.get(NOTIFICATIONS, priority=priority, recipient=recipient).json["items"]) == 3


def test_unknown_priority_is_refused(client: CheckedClient) -> None:
    for wrong in ("callback", "HIGH", ""):
        refused = client.get(NOTIFICATIONS, priority=wrong)
        assert (refused.status, list(faults(refused))) == (400, ["priority"])


def test_status_without_notifications_is_an_empty_page(client: CheckedClient) -> None:
    assert client.get(NOTIFICATIONS, status="processing").json == {"items": [], "nextCursor": None}


def test_a_filter_by_recipient_matches_the_whole_address(api: Api, client: CheckedClient) -> None:
    made = inserted(api, "o'brien+tag%_@example.com", "sent")
    inserted(api, "o'brien+tagxx@example.com", "sent")

    assert ids(client.get(NOTIFICATIONS, recipient="O'Brien+tag%_@example.com").json) == made


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
def test_a_recipient_is_found_in_any_spelling(client: CheckedClient, limit: int) -> None:
    """As on the suppression list; a copy to the address does not count."""
    name = f"ways{limit}"
    written = [f"{name}@bücher.example", f"{name}@BÜCHER.example", f"{name}@xn--bcher-kva.example"] * 2
    written += [f"{name.upper()}@xn--bcher-kva.example", f"{name}@XN--bcher-kva.Example"]
    posted = [client.notify(one).json["id"] for one in written]
    client.notify("else@example.com", cc=[written[0]])

    for asked in set(written):
        pages = list(all_pages(client, recipient=asked, limit=limit))
        assert [id for page in pages for id in ids(page)] == posted[::-1]
        assert all(len(page["items"]) <= limit for page in pages)
    assert len(ids(client.get(NOTIFICATIONS, recipient=written[1], status="pending", type="email").json)) == 8


def test_a_range_of_times_includes_its_start_and_excludes_its_end(api: Api, client: CheckedClient) -> None:
    made = inserted(api, "range@example.com", "sent", "sent", "sent", "sent")
    times = [client.notification(id)["createdAt"] for id in made]
    query = {"recipient": "range@example.com"}

    assert ids(client.get(NOTIFICATIONS, **query, createdFrom=times[2], createdTo=times[0]).json) == made[1:3]
    assert ids(client.get(NOTIFICATIONS, **query, createdFrom=times[2]).json) == made[:3]
    assert ids(client.get(NOTIFICATIONS, **query, createdTo=times[2]).json) == made[3:]
    assert ids(client.get(NOTIFICATIONS, **query, createdFrom=times[0], createdTo=times[2]).json) == []


def test_a_time_in_a_filter_may_have_any_offset(api: Api, client: CheckedClient) -> None:
    inserted(api, "offset@example.com", "sent")
    [(local,)] = api.sql.rows(
        "SELECT to_char((created_at AT TIME ZONE 'UTC') + interval '5 hours 45 minutes',"
        " 'YYYY-MM-DD\"T\"HH24:MI:SS.US') || '+05:45' FROM notifications WHERE recipient = 'offset@example.com'"
    )

    assert len(client.get(NOTIFICATIONS, recipient="offset@example.com", createdFrom=local).json["items"]) == 1
    assert len(client.get(NOTIFICATIONS, recipient="offset@example.com", createdTo=local).json["items"]) == 0


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
def test_paging_sees_each_of_many_simultaneous_rows_exactly_once(api: Api, client: CheckedClient, limit: int) -> None:
    recipient = f"at-once-{limit}@example.com"
    made = inserted_at_once(api, recipient, 21)

    pages = list(all_pages(client, recipient=recipient, limit=limit))

    assert [id for page in pages for id in ids(page)] == made[::-1]
    assert len(pages) == -(-21 // limit)


def test_notifications_that_arrive_during_paging_do_not_shift_the_pages(api: Api, client: CheckedClient) -> None:
    made = inserted(api, "busy@example.com", *["pending"] * 20)

    seen = []
    for page in all_pages(client, recipient="busy@example.com", limit=3):
        seen += ids(page)
        client.notify("busy@example.com")

    assert seen == made


def test_a_cursor_works_after_its_row_was_deleted(api: Api, client: CheckedClient) -> None:
    made = inserted(api, "gone@example.com", *["sent"] * 4)
    cursor = client.get(NOTIFICATIONS, recipient="gone@example.com", limit=2).json["nextCursor"]
    api.sql.rows("DELETE FROM notifications WHERE id = ANY(%s) RETURNING id", made[:2])

    assert ids(client.get(NOTIFICATIONS, recipient="gone@example.com", cursor=cursor).json) == made[2:]


def test_a_full_last_page_has_no_cursor(api: Api, client: CheckedClient) -> None:
    inserted(api, "full@example.com", "sent", "sent")

    assert client.get(NOTIFICATIONS, recipient="full@example.com", limit=2).json["nextCursor"] is None


def test_a_page_has_fifty_items_by_default(api: Api, client: CheckedClient) -> None:
    inserted_at_once(api, "default@example.com", 101)

    assert len(client.get(NOTIFICATIONS, recipient="default@example.com").json["items"]) == 50
    assert len(client.get(NOTIFICATIONS, recipient="default@example.com", limit=100).json["items"]) == 100


def encoded(place: str) -> str:
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        *("x", "!", "====", "a b", "é", "\0", "\ufffd", "null", "1"),
        *(encoded(place) for place in ("", " ", "garbage", "1 1", "2024-01-01 1", "now 1", "infinity 1")),
        *(encoded(f"2024-01-01T00:00:00+00:00{end}") for end in ("", " ", " 0", " -1", " x", " 1 1", " ٣", " 1e3")),
        encoded(f"2024-01-01T00:00:00+00:00 {2**63}"),
        encoded("2024-01-01T00:00:00 1"),
        encoded("0001-01-01T00:00:00+23:59 1"),
        base64.urlsafe_b64encode(b"\xff\xfe\x00").decode(),
        encoded("2024-01-01T00:00:00+00:00 1") + "!",
        encoded("2024-01-01T00:00:00+00:00 1") + "\n",
        "9" * 2000,
    ],
)
def test_a_made_up_cursor_is_refused(client: CheckedClient, cursor: str) -> None:
    refused = client.get(NOTIFICATIONS, cursor=cursor)

    assert refused.status == 400
    assert faults(refused) == {"cursor": "is not a cursor that this API gave out"}


@pytest.mark.parametrize("limit", ["", "0", "-1", "201", "1.5", "x", "٣", "1e1", "9" * 30, " 1", "1_0", "+1"])
def test_a_limit_out_of_bounds_is_refused(client: CheckedClient, limit: str) -> None:
    refused = client.get(NOTIFICATIONS, limit=limit)

    assert refused.status == 400
    assert faults(refused) == {"limit": "must be a whole number from 1 to 200"}


@pytest.mark.parametrize(
    "time",
    [
        *("", "now", "2024", "2024-01-01", "2024-01-01T00:00:00", "2024-13-01T00:00:00Z", "2024-02-30T00:00:00Z"),
        *("2024-01-01T24:00:01Z", "2024-01-01T00:00:00 00:00", "infinity", "1704067200", "٢٠٢٤-01-01T00:00:00Z"),
        *("2024-01-01T00:00:00Z\0", "10000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00"),
        *("9999-12-31T23:59:59-01:00", "20240101T000000Z", "2024-W01-1T00:00:00Z", "2024-01-01T00Z"),
    ],
)
@pytest.mark.parametrize("name", ["createdFrom", "createdTo"])
def test_invalid_time_in_a_filter_is_refused(client: CheckedClient, name: str, time: str) -> None:
    refused = client.get(NOTIFICATIONS, **{name: time})

    assert refused.status == 400
    assert list(faults(refused)) == [name]


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2024-01-01t00:00:00.1z"])
def test_every_valid_time_is_accepted_as_a_filter(client: CheckedClient, time: str) -> None:
    assert client.get(NOTIFICATIONS, createdFrom=time, createdTo=time).json["items"] == []


@pytest.mark.parametrize(
    "query",
    [
        *("status=", "status", "type=", "recipient=", "recipient", "createdFrom=", "createdTo=", "limit=", "cursor="),
        *("status=SENT", "status=sent,failed", "status=sent&status=sent", "type=fax", "limit=1&limit=1", "Status=sent"),
        *("foo", "foo=", "foo=1", "=", "=1", "status[]=sent", "recipient=%00", "recipient=%FF", "cursor=&cursor="),
        f"recipient={'a' * 3_000}",
    ],
)
def test_an_unknown_or_malformed_parameter_is_refused(client: CheckedClient, query: str) -> None:
    refused = client.get(f"{NOTIFICATIONS}?{query}")

    assert refused.status == 400
    assert list(faults(refused)) == [query.partition("=")[0]]
