"""The list as CSV, and a notification as a curl command."""

from __future__ import annotations

import csv
import io
import shlex

import pytest

from api.http.pagination import LARGEST_LIMIT
from tests.dashboard import Person
from tests.furnishing import failed, pending
from tests.integration.api import Api
from tests.keys import client


def table(person: Person, query: str = "") -> list[dict[str, str]]:
    answer = person.get(f"/notifications/list.csv{query}")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["content-disposition"] == 'attachment; filename="notifications.csv"'
    return list(csv.DictReader(io.StringIO(answer.html, newline="")))


def test_the_csv_contains_all_pages_of_the_list(api: Api, owner: int, person: Person) -> None:
    mine = [pending(api.sql, of=owner) for _ in range(LARGEST_LIMIT + 5)]
    assert [int(row["id"]) for row in table(person)] == mine[::-1]
    assert table(person)[0]["recipient"] == "later@example.com"


def test_the_csv_has_the_filters_and_the_search_of_the_list(api: Api, owner: int, person: Person) -> None:
    gone = failed(api.sql, of=owner)
    pending(api.sql, of=owner)
    for query in ("?status=failed", "?q=rejected", "?q=refused%40example.com&status="):
        [row] = table(person, query)
        assert (row["id"], row["failure_reason"], row["sandbox"]) == (str(gone), "rejected", "false")
    assert 'href="/notifications/list.csv?status=failed"' in person.get("/notifications?status=failed").html


def test_no_cell_is_a_formula_for_a_spreadsheet(api: Api, owner: int, person: Person) -> None:
    for text in ('=HYPERLINK("http://x")', "+1", "-1", "@SUM(1)", "\t=1"):
        failed(api.sql, text, of=owner)
    assert [row["subject"][0] for row in table(person)] == ["'"] * 5
    assert table(person)[-1]["subject"] == '\'=HYPERLINK("http://x")'


def test_the_csv_contains_no_rows_of_another_client(api: Api, owner: int, person: Person) -> None:
    failed(api.sql, of=client(api.sql, f"other than {owner}"))
    assert table(person) == []
    assert Person(api.port).get("/notifications/list.csv").status == 303


@pytest.mark.parametrize("query", ["?status=x", "?q=%00", "?cursor=x"])
def test_an_invalid_filter_of_the_csv_is_refused(person: Person, query: str) -> None:
    assert person.get(f"/notifications/list.csv{query}").status == 400


def test_the_curl_command_on_a_page_reads_its_notification(api: Api, owner: int, person: Person) -> None:
    id = pending(api.sql, of=owner)
    command = person.get(f"/notifications/{id}").text.partition("As curl ")[2].partition(" Copy")[0]
    words = shlex.split(command)
    assert words == ["curl", "-H", "Authorization: Bearer $NOTIFY_KEY", words[-1]]
    assert words[-1].endswith(f":{api.port}/api/notifications/{id}")
