"""The meaning of the answers of push services: all rows of the tables in docs/push.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from actors.channels import Receipt, Refused, Throttled, Undelivered
from actors.channels.http_api import Answer
from actors.channels.push import apns, fcm, webpush
from db.records import Claimed

PAGE = Path(__file__).parents[2] / "docs" / "push.md"
SERVICES = {"FCM": fcm, "APNs": apns, "Web Push": webpush}
ANY = Claimed(5, 1, "push", "fcm:a", "Hi", "Hello", None, "resend", 0, datetime(2024, 1, 1, tzinfo=UTC))
FEWEST = 12  # rows of a service


class Row(NamedTuple):
    """A documented answer: its status and code, its text if one is quoted, and the outcome."""

    service: str
    status: int
    code: str
    text: str
    outcome: str


def documented() -> Iterator[Row]:
    for section in PAGE.read_text().split("\n### ")[1:]:
        title, _, content = section.partition("\n")
        for line in content.splitlines():
            if found := re.fullmatch(r"\| `(\d{3})`(?: `([^`]+)`)? \| (.*) \| ([a-z-]+) \|", line):
                status, code, meaning, outcome = found.groups("")
                quoted = re.fullmatch(r'"(.*)"', meaning)
                yield Row(title, int(status), code, quoted[1] if quoted else "", outcome)


ROWS = list(documented())
STATUSES = {"UNREGISTERED": "NOT_FOUND", "SENDER_ID_MISMATCH": "PERMISSION_DENIED"}
PLAIN = ("UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND")  # without a code of FCM


def answer(row: Row) -> Answer:
    """The answer as the service writes it."""
    headers: dict[str, str] = {}
    said: Any = b""
    match row.service:
        case "FCM" if row.status == 200:
            said = {"name": "projects/p/messages/id-1"}
        case "FCM":
            details: list[dict[str, Any]] = []
            if row.code not in PLAIN:
                kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
                details = [{"@type": "type.googleapis.com/google.rpc.Other"}, {"@type": kind, "errorCode": row.code}]
            if row.text:
                details.append({"@type": "type.googleapis.com/google.rpc.QuotaFailure"})
                details[-1]["violations"] = [{"subject": "x", "description": row.text}]
            status = STATUSES.get(row.code, row.code)
            said = {"error": {"code": row.status, "message": "No.", "status": status, "details": details}}
        case "APNs" if row.status == 200:
            headers = {"apns-id": "id-1"}
        case "APNs":
            said = {"reason": row.code} | ({"timestamp": 1_700_000_000_000} if row.status == 410 else {})
        case _:
            headers = {"Location": "/m/id-1"} if row.status == 201 else {}
    return Answer(row.status, "Said", headers, said if isinstance(said, bytes) else orjson.dumps(said))


def judged(service: str, given: Answer) -> Receipt | Undelivered:
    try:
        receipt: Receipt = SERVICES[service].judge(given, ANY)
        return receipt
    except Undelivered as error:
        return error


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.service}-{row.status}-{row.code}-{row.outcome}")
def test_a_documented_answer_has_the_documented_outcome(row: Row) -> None:
    end = judged(row.service, answer(row))
    receipt = end if isinstance(end, Receipt) else end.receipt
    assert (receipt.phase, receipt.reply_code) == ("answer", row.status)
    if isinstance(end, Receipt):
        assert row.outcome == "sent"
        return
    found = "throttled" if isinstance(end, Throttled) else end.outcome
    assert (found, end.suppress) == (("refused", 0) if row.outcome == "suppressed" else (row.outcome, None))
    assert row.code in receipt.text


def test_every_push_service_has_a_table_of_answers() -> None:
    for service in SERVICES:
        assert len([row for row in ROWS if row.service == service]) >= FEWEST


def test_every_known_reason_is_documented() -> None:
    known = {str(code) for table in (fcm._CODES, fcm._STATUSES, apns._REASONS) for code in table} | apns._GONE
    assert known <= {row.code for row in ROWS}


QUOTA = b'{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "QUOTA_EXCEEDED"}'


@pytest.mark.parametrize("service", sorted(SERVICES))
@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"null", b"[]", b'"x"', b"{", b'{"error": []}', b'{"error": {"details": [[], 1, {"violations": 1}]}}'),
        b'{"error": {"details": [%b, {"violations": 1}, {"violations": [[], "device"]}]}}' % QUOTA,
        *(b'{"reason": {}}', b'{"reason": ["Unregistered"], "timestamp": {}}', b"\xff\xfe\0"),
    ],
)
def test_any_answer_is_judged_without_an_error(service: str, body: bytes) -> None:
    for status in range(200, 600):
        end = judged(service, Answer(status, "", {}, body))

        if service != "Web Push":
            assert isinstance(end, Undelivered)
            assert end.suppress is None
        if isinstance(end, Refused):
            assert end.receipt.text.startswith(str(status))
