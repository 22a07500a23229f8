"""The meaning of the answers of providers of text messages: all rows of the tables in docs/sms.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from actors.channels import ProviderDown, Refused, Throttled, Uncertain, Undelivered
from actors.channels.http_api import Answer
from actors.channels.sms.provider import APIS
from actors.channels.sms.text import Text
from tests.providers.sms import HELLO, xml

ROOT = Path(__file__).parents[2]
TITLES = {"Twilio": "twilio", "Vonage": "vonage", "Amazon SNS": "sns", "Your own provider": "sms+https"}
OPT_OUTS = {("twilio", "21610"), ("sns", "OptedOut"), ("sms+https", "opted-out")}
NAMED = HELLO._replace(sender="ACME", chosen=True)  # by the client


class Row(NamedTuple):
    """A documented answer: its status and code, its text if one is quoted, and the outcome."""

    kind: str
    status: int
    code: str
    text: str
    outcome: str


def documented() -> Iterator[Row]:
    page = (ROOT / "docs" / "sms.md").read_text()
    for section in page.split("\n### ")[1:]:
        title, _, content = section.partition("\n")
        for line in content.splitlines():
            if found := re.fullmatch(r"\| `(\d{3})`(?: `([^`]+)`)? \| (.*) \| ([a-z-]+) \|", line):
                status, code, meaning, outcome = found.groups("")
                quoted = re.fullmatch(r'"(.*)"', meaning)
                yield Row(TITLES[title], int(status), code, quoted[1] if quoted else "", outcome)


ROWS = list(documented())


def answer(row: Row) -> Answer:
    """The answer as the provider writes it."""
    said: Any
    match row.kind:
        case "twilio" if row.status == 201:
            failed = {"status": "failed", "error_code": int(row.code), "error_message": "x"} if row.code else {}
            said = {"sid": "id-1", "status": "queued", "error_code": None, **failed}
        case "twilio":
            said = {"code": int(row.code), "message": row.text, "status": row.status}
        case "vonage" if row.code == "0":
            said = {"message-count": "1", "messages": [{"to": "41791234567", "message-id": "id-1", "status": "0"}]}
        case "vonage":
            said = {"message-count": "1", "messages": [{"status": row.code, "error-text": row.text}]}
        case "sns":
            said = xml("PublishResult", MessageId="id-1") if row.status == 200 else None
            said = said or xml("Error", Type="Sender", Code=row.code, Message=row.text)
        case _:
            said = {"id": "id-1"} if row.status == 200 else {"code": row.code, "detail": row.text}
    return Answer(row.status, "Said", {}, said if isinstance(said, bytes) else orjson.dumps(said))


def judged(kind: str, given: Answer, text: Text = HELLO) -> tuple[str, int | None]:
    """Return the outcome, and the index of the address that is to be suppressed."""
    error: Undelivered | None = None
    try:
        receipt = APIS[kind].judge(given, text)
    except Undelivered as raised:
        error, receipt = raised, raised.receipt
    assert (receipt.phase, receipt.reply_code) == ("answer", given.status)
    if error is None:
        assert "id-1" in receipt.text
        return "sent", None
    suppress = error.suppress if isinstance(error, Refused) else None
    return "throttled" if isinstance(error, Throttled) else error.outcome, suppress


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.kind}-{row.status}-{row.code}-{row.outcome}" for row in ROWS])
def test_a_documented_answer_has_the_documented_outcome(row: Row) -> None:
    for text, blamed in ((HELLO, ProviderDown), (NAMED, Refused)):
        expected = blamed.outcome if row.outcome == "sender" else row.outcome
        assert judged(row.kind, answer(row), text) == (expected, 1 if (row.kind, row.code) in OPT_OUTS else None)


@pytest.mark.parametrize("kind", sorted(APIS))
def test_every_known_error_code_is_documented(kind: str) -> None:
    module: Any = APIS[kind]
    rows = [row for row in ROWS if row.kind == kind]

    assert {str(code) for code in module._CODES} <= {row.code for row in rows} | {str(row.status) for row in rows}
    assert len(rows) >= 8


@pytest.mark.parametrize("kind", sorted(APIS))
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((400, "refused"), (418, "refused"), (413, "refused"), (404, "provider-down"), (301, "provider-down")),
        *((402, "provider-down"), (408, "deferred"), (500, "uncertain"), (502, "uncertain"), (504, "uncertain")),
        (520, "uncertain"),
    ],
)
def test_an_answer_that_is_not_documented_is_judged_by_its_status(kind: str, status: int, expected: str) -> None:
    for body in (b"", b"<html>oops</html>", b'{"code": 99999, "message": "your account is suspended"}'):
        assert judged(kind, Answer(status, "Said", {}, body)) == (expected, None)


@pytest.mark.parametrize("kind", sorted(APIS))
@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"null", b"\xff\xfe", b"<html>Welcome to our hotel</html>", b'{"id": 5, "sid": {}}'),
        *(b'{"messages": []}', b'{"messages": [1]}', b'{"messages": "0"}', b'{"messages": [{"status": "0"}]}'),
        *(b"<MessageId></MessageId>", b"<MessageId>abc", b"x" * 65_536),
    ],
)
def test_a_success_without_the_id_of_a_message_is_uncertain(kind: str, body: bytes) -> None:
    assert judged(kind, Answer(200, "Said", {}, body)) == ("uncertain", None)
    assert judged(kind, Answer(202, "Said", {}, body)) == ("uncertain", None)


@pytest.mark.parametrize("kind", sorted(APIS))
@pytest.mark.parametrize(
    "body",
    [b'{"code": {"a": 1}, "message": [2], "error_code": {}}', b'{"code": [], "detail": {}}', b"<Code>a<b></Code>"],
)
def test_an_unexpected_body_does_not_change_the_meaning_of_the_status(kind: str, body: bytes) -> None:
    assert judged(kind, Answer(429, "", {}, body)) == ("throttled", None)
    assert judged(kind, Answer(400, "", {}, body)) == ("refused", None)
    assert judged(kind, Answer(500, "", {}, body)) == ("uncertain", None)


def test_a_message_of_which_vonage_took_some_segments_only_is_uncertain() -> None:
    taken, refused = {"status": "0", "message-id": "id-1"}, {"status": "9", "error-text": "Quota Exceeded"}
    body = orjson.dumps({"message-count": "3", "messages": [taken, refused, taken]})

    with pytest.raises(Uncertain, match=r"9: Quota Exceeded \(for 1 of 3 segments\)"):
        APIS["vonage"].judge(Answer(200, "OK", {}, body), HELLO)


def test_a_message_whose_segments_vonage_took_has_the_id_of_the_first() -> None:
    parts = [{"status": "0", "message-id": f"id-{number}"} for number in (1, 2)]

    receipt = APIS["vonage"].judge(Answer(200, "OK", {}, orjson.dumps({"messages": parts})), HELLO)

    assert receipt.text == "200 taken as id-1"


def test_a_message_that_twilio_reports_as_failed_without_a_code_is_refused() -> None:
    body = orjson.dumps({"sid": "SM1", "status": "failed", "error_code": None})

    assert judged("twilio", Answer(201, "Created", {}, body)) == ("refused", None)


@pytest.mark.parametrize("kind", ["vonage", "sns"])
def test_a_sender_in_quoted_text_is_not_taken_as_the_cause(kind: str) -> None:
    row = {
        "vonage": Row("vonage", 200, "3", 'Invalid to param: "from"', ""),
        "sns": Row("sns", 400, "InvalidParameter", "Invalid parameter: PhoneNumber 'SenderID'", ""),
    }[kind]

    assert judged(kind, answer(row)) == ("refused", None)


def test_the_xml_error_of_sns_is_shown_as_text() -> None:
    body = xml("Error", Type="Sender", Code="InvalidParameter", Message="Invalid &lt;to&gt; &amp; more")

    with pytest.raises(Refused) as caught:
        APIS["sns"].judge(Answer(400, "Bad Request", {}, body), HELLO)
    assert str(caught.value) == "400 InvalidParameter: Invalid <to> & more"
