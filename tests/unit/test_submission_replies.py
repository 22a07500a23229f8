"""SMTP replies, made from the API's answers; where the server listens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trustme
from click.testing import CliRunner

from cli.main import notify
from cli.submission.api import Answer
from cli.submission.listening import listening
from cli.submission.outcome import outcome
from cli.submission.refusal import LINE, LINES, reply
from settings import SettingsError
from tests.submission import files

ONE = {"id": 7, "status": "pending"}
GONE = {"id": 8, "status": "failed", "failureReason": "suppressed", "lastError": "on the list"}
ANSWERS: dict[str, tuple[int, Any, str]] = {
    "one": (201, ONE, "250 2.0.0 Stored as notification 7"),
    "a replay of a batch": (200, {"items": [ONE, ONE]}, "250 2.0.0 Stored as notifications 7 to 7"),
    "one of two": (201, {"items": [ONE, GONE]}, "250 2.0.0 Stored as notifications 7 to 8, of which 1 failed at once"),
    "suppressed": (201, GONE, "550 5.7.1 Not sent, notification 8: on the list"),
    "no notification": (200, {}, "451 4.3.5 What answers is not the notification API"),
    "an id that is none": (201, {"id": "x", "status": "sent"}, "451 4.3.5 What answers is not the notification API"),
    "no batch": (201, {"items": [1]}, "451 4.3.5 What answers is not the notification API"),
    "malformed": (400, {"detail": "It is not JSON."}, "550 5.6.0 It is not JSON."),
    "no key": (401, {"detail": "The key is missing."}, "535 5.7.8 The key is missing."),
    "no scope": (403, {"detail": "No scope."}, "535 5.7.8 No scope."),
    "another server": (404, {}, "451 4.3.5 The API answered 404"),
    "late": (408, {}, "451 4.3.0 The API answered 408"),
    "busy": (409, {"detail": "Busy."}, "451 4.3.0 Busy."),
    "large": (413, {"detail": "At most 9."}, "552 5.3.4 At most 9."),
    "fast": (429, {"detail": "Too fast."}, "451 4.7.1 Too fast."),
    "broken": (500, {}, "451 4.3.0 The API answered 500"),
    "away": (503, {"detail": "Away."}, "451 4.3.0 Away."),
    "elsewhere": (302, {}, "451 4.3.5 The API answered 302"),
}


@pytest.mark.parametrize(("status", "document", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_each_answer_of_the_api_has_an_smtp_reply(status: int, document: Any, expected: str) -> None:
    assert outcome(Answer(status, document), len(document.get("items", [1]))).reply.startswith(expected)


def test_the_reply_is_250_only_if_the_mail_is_stored() -> None:
    for status in range(100, 600):
        assert not outcome(Answer(status, {"detail": "x"}), 1).reply.startswith("250")


@pytest.mark.parametrize("document", [ONE, {"items": []}, {"items": [ONE]}, {"items": [ONE, ONE, ONE]}])
def test_an_answer_with_a_different_number_of_notifications_is_not_250(document: Any) -> None:
    assert outcome(Answer(201, document), 2).reply.startswith("451 4.3.5")


def test_each_fault_has_a_line_and_faults_of_several_notifications_appear_once() -> None:
    fault = {"pointer": "/items/0/headers/User-Agent", "detail": "is not allowed"}
    document = {"detail": "2 faults.", "errors": [fault, {**fault, "pointer": "/items/1/headers/User-Agent"}]}

    said = outcome(Answer(422, document), 2).reply

    assert said == "550-5.6.0 2 faults.\r\n550 5.6.0 headers User-Agent: is not allowed"


def test_a_sender_that_is_not_allowed_gets_a_policy_error() -> None:
    errors = [{"pointer": "/from", "detail": "must be the address of MAIL_FROM"}]

    assert outcome(Answer(422, {"detail": "1 fault.", "errors": errors}), 1).reply.startswith("550-5.7.1")


def test_quoted_text_cannot_split_or_lengthen_a_reply() -> None:
    said = reply("550 5.6.0", "a\r\n250 OK\x00 ☀" + "b" * 2_000, *["c"] * 100)

    lines = said.split("\r\n")
    assert len(lines) == LINES
    assert all(line.startswith("550") and len(line) <= LINE + 2 and line.isprintable() for line in lines)
    assert said.isascii()


def test_on_loopback_no_certificate_is_needed() -> None:
    found = listening("127.0.0.1:2587", None, None)

    assert (found.host, found.port, found.tls, found.local) == ("127.0.0.1", 2587, None, True)


@pytest.mark.parametrize("address", ["0.0.0.0:587", "[::]:587", "192.0.2.1:587", "mail.example.com:587"])
def test_beyond_loopback_a_certificate_is_needed(address: str) -> None:
    with pytest.raises(SettingsError, match="lets other machines send API keys in clear: give --certificate"):
        listening(address, None, None)


def test_a_certificate_and_its_key_must_fit(tmp_path: Path) -> None:
    authority = trustme.CA()
    one, other = authority.issue_cert("localhost"), authority.issue_cert("localhost")
    chain, private = one.cert_chain_pems[0].bytes(), other.private_key_pem.bytes()
    words = files(tmp_path, (chain, private))

    for options in (words, ("--certificate", words[1]), ("--certificate", words[3])):
        result = CliRunner().invoke(notify, ["smtp", *options])
        assert result.exit_code == 4
        assert f"--certificate {options[1]} cannot be used (" in result.stderr
    result = CliRunner().invoke(notify, ["smtp", *words[2:]])
    assert (result.exit_code, "without --certificate" in result.stderr) == (4, True)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--listen", "2587"], 4, "--listen is '2587': give host:port, for example 127.0.0.1:2587"),
        (["--url", "nowhere"], 2, "'nowhere' must be a URL such as http://127.0.0.1:8000"),
        (["--certificate", "/nonexistent"], 2, "does not exist"),
    ],
)
def test_a_wrong_option_is_reported_by_name(words: list[str], code: int, sentence: str) -> None:
    result = CliRunner().invoke(notify, ["smtp", *words])

    assert result.exit_code == code
    assert sentence in result.stderr
