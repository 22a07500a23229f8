"""Texts of libraries, servers and exceptions reach no log line with an address, a key or a password in them."""

from __future__ import annotations

import json
import logging

import pytest
from dramatiq.errors import ConnectionClosed
from hypothesis import example, given
from hypothesis import strategies as st
from peewee import IntegrityError

from runtime import logs
from runtime.redaction import Scrubber, masked, secrets, told, traced
from settings import read

ENVIRON = {
    "DATABASE_URL": "postgresql://u:p%40ss%2Fword@h/d",
    "REDIS_URL": "redis://:redis-pass@h",
    "SMTP_URL": "smtp://u:smtp-pass@h",
    "EMAIL_PASS": "gmail-pass",
    "UNSUBSCRIBE_SECRET": "s" * 40,
    "DOMAIN_KEYS_SECRET": f"{'n' * 40},{'o' * 40}",
}
ALL = Scrubber(secrets(read(ENVIRON)))


def scrubbed(text: str) -> str:
    """Return the text that is left after redaction in a line of JSON."""
    [(_, left)] = json.loads(ALL.line(json.dumps({"said": text}).encode())).items()
    return str(left)


@pytest.mark.parametrize(
    "said",
    ["550 5.1.1 <jane@example.com>: nobody", "jane@example.com", "to=jane@example.com,", "x:jane@example.com)"],
)
def test_an_address_is_replaced_by_a_mark(said: str) -> None:
    assert scrubbed(said) == said.replace("jane@example.com", masked("jane@example.com"))


@pytest.mark.parametrize(
    "address",
    [
        "J.D+tag@Example.com",
        '"jane doe"@example.com',
        "jürgen@bücher.example",
        "a/b=c!d@example.com",
        "jane@[10.0.0.1]",
    ],
)
def test_the_local_part_of_any_address_is_redacted(address: str) -> None:
    local = address.rpartition("@")[0].strip('"')

    assert local not in scrubbed(f"550 <{address}> nobody")
    assert address not in scrubbed(f"550 <{address}> nobody")


@pytest.mark.parametrize(
    "secret", ["p@ss/word", "p%40ss%2Fword", "redis-pass", "smtp-pass", "gmail-pass", "s" * 40, "o" * 40]
)
def test_the_secrets_of_the_settings_are_redacted(secret: str) -> None:
    assert scrubbed(f"said {secret} and more") == "said *** and more"


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("connect to postgres://who:what@db/x", "connect to postgres://***:db/x"),
        ("GET ntf_live_12_" + "A" * 43, "GET ***"),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("signed with whsec_" + "A" * 40 + "=", "signed with ***"),
    ],
)
def test_text_that_looks_like_a_credential_is_redacted(said: str, left: str) -> None:
    assert scrubbed(said) == left


@example(said="\0@0", local="ann.smith")  # a NUL is escaped as \\u0000
@example(said="\n@0\\", local="ann.smith")
@given(said=st.text(), local=st.from_regex(r"[a-z0-9.+_-]{6,64}", fullmatch=True))
def test_a_redacted_line_is_still_json_and_contains_no_address(said: str, local: str) -> None:
    line = ALL.line(json.dumps({"said": f"{said} {local}@example.com {said}", "n": 1}).encode())

    assert json.loads(line)["n"] == 1
    assert f"{local}@".encode() not in line


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///d?host=/run&password=hush-hush",
        "postgresql://u:hush-hush@a,b/d",
        "redis+sentinel://u:hush-hush@a:1,b:2/m/0",
        "redis+sentinel://a:1,b:2/m/0?sentinel_password=hush-hush",
    ],
)
def test_a_password_is_redacted_in_every_part_of_a_url(url: str) -> None:
    name = "REDIS_URL" if url.startswith("redis") else "DATABASE_URL"

    assert "hush-hush" in set(secrets(read({name: url})))


def test_short_secrets_are_not_redacted_within_other_text() -> None:
    assert Scrubber(["a"]).line(b'{"a":"b a"}') == b'{"a":"b a"}'


MAIL = "Dear Jane, your code is 1234"


def fails() -> Exception:
    """A bug while another error was handled, both with a mail in their words."""
    try:
        try:
            dict[str, str]()[MAIL]
        except KeyError as error:
            raise ValueError(f"cannot read {MAIL}") from error
    except ValueError as error:
        return error
    raise AssertionError


def test_a_traceback_keeps_places_and_exception_types_without_their_messages() -> None:
    story = traced(fails(), whole=False)

    assert "Dear Jane" not in story
    assert story.index("ValueError") < story.index("KeyError")
    assert "in fails" in story


def test_the_log_level_debug_keeps_whole_tracebacks() -> None:
    assert "ValueError: cannot read Dear Jane" in traced(fails(), whole=True)


def test_an_error_of_postgresql_is_logged_with_its_code_and_without_its_row() -> None:
    class Refusal(Exception):
        pgcode = "23514"

    class Wrapped(IntegrityError):
        orig = Refusal()

    error = Wrapped('violates check "x"\nDETAIL:  Failing row contains (Dear Jane).')
    assert told(error, whole=False) == "Wrapped: SQLSTATE 23514"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "ConnectionRefusedError: [Errno 111] Connection refused"),
        (FileNotFoundError(2, "No such file", "/jane"), "FileNotFoundError: [Errno 2] No such file"),
        (OSError("jane"), "OSError: text withheld"),
        (TimeoutError(), "TimeoutError"),
        (
            ConnectionClosed(ConnectionError("Error 111 connecting to h:1.")),
            "ConnectionClosed: Error 111 connecting to h:1.",
        ),
    ],
)
def test_messages_of_the_operating_system_are_kept(error: Exception, words: str) -> None:
    assert told(error, whole=False) == words


def test_an_exception_quoted_by_a_library_is_reduced_to_its_type(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(read({"LOG_FORMAT": "json"} | ENVIRON))

    logging.getLogger("lib").warning("on %s: %s", "jane@example.com", ValueError("Dear Jane"))
    logging.getLogger("lib").error("broken", exc_info=fails())

    warned, broken = map(json.loads, capfd.readouterr().err.splitlines())
    assert warned["event"] == f"on {masked('jane@example.com')}: ValueError: text withheld"
    assert "Dear Jane" not in broken["exception"]


@pytest.mark.parametrize(
    ("words", "args", "event"),
    [
        ("on %(what)s", {"what": ValueError("Dear Jane")}, "on ValueError: text withheld"),
        (ValueError("Dear Jane"), (), "ValueError: text withheld"),
        (ValueError("Dear %s"), ("Jane",), "ValueError: text withheld"),
        ("%d of %s", ("Jane", "Jane"), "%d of %s"),
        ("%s", ("Dear", "Jane"), "%s"),
        ("100%", ("Jane",), "100%"),
        ("100%", (), "100%"),
    ],
)
def test_a_line_of_a_library_is_written_without_the_text_that_it_may_not_quote(
    words: object, args: tuple[object, ...] | dict[str, object], event: str, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.configure(read({"LOG_FORMAT": "json"}))

    logging.getLogger("lib").warning(words, *([args] if isinstance(args, dict) else args))

    assert json.loads(capfd.readouterr().err)["event"] == event
