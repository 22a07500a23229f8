"""The meaning of the answers of mail providers: all rows of the tables in docs/providers.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from actors.channels import ProviderDown, Refused, Throttled, Undelivered
from actors.channels.email.http.provider import APIS
from actors.channels.http_api import Answer
from actors.channels.http_judging import LONGEST_WAIT, retry_after

ROOT = Path(__file__).parents[2]
KINDS = {"Amazon SES": "ses", **{kind.title(): kind for kind in APIS}, "SendGrid": "sendgrid"}
BLAMED = (ProviderDown, Refused)  # for our own sender, and for one that a client chose
FEWEST = 8  # rows of a provider


class Row(NamedTuple):
    """A documented answer: its status and code, its text if one is quoted, and the outcome."""

    kind: str
    status: int
    code: str
    text: str
    outcome: str


def documented() -> Iterator[Row]:
    page = (ROOT / "docs" / "providers.md").read_text()
    for section in page.split("\n## ")[1:]:
        title, _, content = section.partition("\n")
        for line in content.splitlines():
            if found := re.fullmatch(r"\| `(\d{3})`(?: `([^`]+)`)? \| (.*) \| ([a-z-]+) \|", line):
                status, code, meaning, outcome = found.groups("")
                quoted = re.fullmatch(r'"(.*)"', meaning)
                yield Row(KINDS[title], int(status), code, quoted[1] if quoted else "", outcome)


ROWS = list(documented())


def answer(kind: str, status: int, code: str, text: str) -> Answer:
    """The answer as the provider writes it."""
    headers: dict[str, str] = {}
    said: dict[str, Any]
    match kind:
        case "ses":
            headers = {"x-amzn-ErrorType": f"{code}:http://internal.amazon.com/coral/"} if code else {}
            said = {"message": text, "MessageId": "id-1"} if status == 200 else {"message": text}
        case "postmark":
            said = {"ErrorCode": int(code or -1), "Message": text, "MessageID": "id-1"}
        case "sendgrid":
            headers = {"X-Message-Id": "id-1"} if status < 300 else {}
            said = {"errors": [{"message": text, "field": None, "help": None}]}
        case "mailgun":
            said = {"message": text, "id": "id-1"}
        case "resend":
            said = {"id": "id-1"} if status == 200 else {"statusCode": status, "name": code, "message": text}
        case _:
            said = {"messageId": "id-1"} if status == 201 else {"code": code, "message": text}
    return Answer(status, "Said", headers, orjson.dumps(said))


def outcome(kind: str, given: Answer, blamed: type[Undelivered]) -> str:
    error: Undelivered | None = None
    try:
        receipt = APIS[kind].judge(given, blamed)
    except Undelivered as raised:
        error, receipt = raised, raised.receipt
    assert (receipt.phase, receipt.reply_code) == ("answer", given.status)
    if error is None:
        assert "id-1" in receipt.text
        return "sent"
    return "throttled" if isinstance(error, Throttled) else error.outcome


@pytest.mark.parametrize("kind", sorted(APIS))
def test_every_provider_has_a_table_of_answers(kind: str) -> None:
    assert sum(row.kind == kind for row in ROWS) >= FEWEST


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.kind}-{row.status}-{row.code}-{row.outcome}" for row in ROWS])
def test_a_documented_answer_has_the_documented_outcome(row: Row) -> None:
    given = answer(row.kind, row.status, row.code, row.text)

    for blamed in BLAMED:
        expected = blamed.outcome if row.outcome == "sender" else row.outcome
        assert outcome(row.kind, given, blamed) == expected


@pytest.mark.parametrize("kind", sorted(APIS))
def test_every_known_error_code_is_documented(kind: str) -> None:
    module: Any = APIS[kind]
    known = {str(code[1] if isinstance(code, tuple) else code) for code in module._CODES}
    rows = [row for row in ROWS if row.kind == kind]
    said = {row.code for row in rows} | {str(row.status) for row in rows}
    texts = " ".join(row.text for row in rows).lower()

    # Marks that are no code of the provider, and Postmark's answer to what is not JSON.
    assert {one for one in known - said if one.lower() not in texts} <= {"sandbox", "from", "409"}


@pytest.mark.parametrize("kind", sorted(APIS))
@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        (400, "Your account is suspended", "provider-down"),
        (422, "You have exceeded your daily sending limit", "provider-down"),
        (418, "I am a teapot", "refused"),
        (400, "", "refused"),
        (404, "no such path", "provider-down"),
        (301, "", "provider-down"),
        (408, "", "deferred"),
        (502, "<html>bad gateway</html>", "uncertain"),
        (504, "", "uncertain"),
        (520, "", "uncertain"),
    ],
)
def test_an_answer_that_is_not_documented_is_judged_by_its_status_and_its_words(
    kind: str, status: int, text: str, expected: str
) -> None:
    assert outcome(kind, Answer(status, "Said", {}, text.encode()), ProviderDown) == expected


@pytest.mark.parametrize("kind", sorted(APIS))
@pytest.mark.parametrize(
    "name", ["your account is suspended", "the sender is not verified", "daily sending limit reached"]
)
def test_text_of_the_mail_quoted_in_a_refusal_is_not_taken_as_a_fault_of_the_account(kind: str, name: str) -> None:
    for quoted in (f'the attachment "{name}.pdf" is not allowed', f"Invalid name: '{name}'.", f"it can't be `{name}`"):
        code = {"ses": "MessageRejected", "brevo": "invalid_parameter", "resend": "validation_error"}.get(kind, "")
        assert outcome(kind, answer(kind, 400, code, quoted), ProviderDown) == "refused"


@pytest.mark.parametrize("kind", sorted(APIS))
@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b"[1]", b"null", b'{"message": {"a": 1}}', b'{"errors": [1, null]}', b"x" * 65_536]
)
def test_an_unexpected_body_does_not_change_the_meaning_of_the_status(kind: str, body: bytes) -> None:
    assert outcome(kind, Answer(429, "", {}, body), ProviderDown) == "throttled"
    assert outcome(kind, Answer(500, "", {}, body), ProviderDown) == "uncertain"


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        *(
            ("30", 30.0),
            ("0", 0.0),
            (" 5 ", 5.0),
            ("999999999999", LONGEST_WAIT),
            ("", 0.0),
            ("soon", 0.0),
            ("-1", 0.0),
        ),
        *(
            ("1.5", 0.0),
            ("٣", 0.0),
            ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
            ("Wed, 21 Oct 2099 07:28:00 GMT", LONGEST_WAIT),
        ),
        ("Wed, 21 Oct 2015 07:28:00", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_bounded(given: str, seconds: float) -> None:
    assert retry_after(Answer(429, "", {"Retry-After": given}, b"")) == seconds
