"""The settings of the mail server and the sender: SMTP_URL, EMAIL_USER and EMAIL_PASS, MAIL_FROM."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settings import SettingsError, read
from settings.smtp_url import SmtpServer
from tests.accounts import mail_server


def said(url: str) -> str:
    """The sentence with which this is refused."""
    with pytest.raises(SettingsError) as refused:
        read({"SMTP_URL": url})
    return str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        *("http://u:hunter2@h", "u:hunter2@h", "smtp://u:hunter2@", "smtp://u:hunter2@h:x", "smtp://u:hunter2@h:99999"),
        "smtp://u:hunter2@h:²",
        *("smtp://u:hunter2@h/path", "smtp://u:hunter2@h?starttls=maybe", "smtp://u:hunter2@h?tls=1"),
    ],
)
def test_a_bad_smtp_url_is_refused_without_its_password(url: str) -> None:
    sentence = said(url)

    assert sentence.startswith("SMTP_URL ")
    assert "hunter2" not in sentence


@pytest.mark.parametrize("url", ["smtp://u:hunter2@[::1", "smtp://u:hunter2@[nonsense]:25"])
def test_an_smtp_url_that_cannot_be_parsed_is_refused_by_name(url: str) -> None:
    assert said(url).startswith("SMTP_URL ")


@pytest.mark.parametrize("given", ["0", "1001", "-1", "+5", "2.5", "1e2", "x", "", "%20", "٣", "9" * 5_000, "5,6"])
def test_an_invalid_number_of_connections_is_refused_with_the_range(given: str) -> None:
    sentence = said(f"smtp://u:hunter2@h?connections={given}")

    assert sentence.startswith("SMTP_URL has connections=")
    assert sentence.endswith(": give a number from 1 to 1000")
    assert "hunter2" not in sentence


@pytest.mark.parametrize("option", ["connection=5", "Connections=5", "starttls=off&pool=5", "tls"])
def test_an_unknown_option_is_refused_with_the_known_ones(option: str) -> None:
    assert said(f"smtp://h?{option}").endswith(
        ": use starttls, ca, dkim, dsn, return_path, connections, rate, daily, priority, weight, from or reports"
    )


def test_an_option_without_a_value_is_refused() -> None:
    assert said("smtp://h?starttls=") == "SMTP_URL has starttls=: give one of required, optional, off"


def test_the_option_dkim_says_that_the_mail_server_signs() -> None:
    assert read({"SMTP_URL": "smtp://h"}).providers[0].account == SmtpServer("h", 587, dkim="sign")
    assert read({"SMTP_URL": "smtp://h?dkim=relay"}).providers[0].account == SmtpServer("h", 587, dkim="relay")
    assert said("smtp://h?dkim=no") == "SMTP_URL has dkim=no: give sign, or relay if the mail server signs"


def test_a_mail_server_gets_twenty_connections_by_default() -> None:
    assert read({"SMTP_URL": "smtp://h"}).providers[0].connections == 20
    assert read({"EMAIL_USER": "me@gmail.com", "EMAIL_PASS": "p"}).providers[0].connections == 20


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://h", SmtpServer("h", 587)),
        ("smtp://h:25", SmtpServer("h", 25)),
        ("smtps://h", SmtpServer("h", 465, tls=True)),
        ("smtps://u:p@h:2465", SmtpServer("h", 2465, "u", "p", tls=True, starttls="required")),
        ("smtp://u:p@h", SmtpServer("h", 587, "u", "p", starttls="required")),
        ("smtp://u:p@h?starttls=optional", SmtpServer("h", 587, "u", "p", starttls="optional")),
        ("smtp://u:p@h?starttls=off", SmtpServer("h", 587, "u", "p", starttls="off")),
        ("smtp://h?starttls=required", SmtpServer("h", 587, starttls="required")),
        ("smtp://h?ca=/etc/ca.pem", SmtpServer("h", 587, ca="/etc/ca.pem")),
        ("smtp://h/?ca=%2Fmy%20ca.pem", SmtpServer("h", 587, ca="/my ca.pem")),
        ("smtp://h?connections=1000&ca=a.pem", SmtpServer("h", 587, ca="a.pem")),
        (
            "smtp://a%40b.c:p%40%3A%2F%3F%23%25w%C3%A9@h",
            SmtpServer("h", 587, "a@b.c", "p@:/?#%wé", starttls="required"),
        ),
        ("smtp://[::1]:2525", SmtpServer("::1", 2525)),
        ("smtp://u:p@[2001:db8::1]", SmtpServer("2001:db8::1", 587, "u", "p", starttls="required")),
    ],
)
def test_an_smtp_url_is_parsed_into_its_parts(url: str, server: SmtpServer) -> None:
    assert mail_server(read({"SMTP_URL": url})) == server


@given(user=st.text(min_size=1), password=st.text(min_size=1))
def test_any_user_and_password_can_be_written_in_a_url(user: str, password: str) -> None:
    server = mail_server(read({"SMTP_URL": f"smtp://{quote(user, safe='')}:{quote(password, safe='')}@h"}))

    assert (server.user, server.password) == (user, password)


def test_gmail_needs_only_user_and_password() -> None:
    current = read({"EMAIL_USER": "me@gmail.com", "EMAIL_PASS": "p"})

    assert mail_server(current) == SmtpServer("smtp.gmail.com", 587, "me@gmail.com", "p", starttls="required")
    assert current.smtp.sender == "me@gmail.com"


def test_an_explicit_mail_server_goes_before_gmail() -> None:
    current = read({"SMTP_URL": "smtp://h", "EMAIL_USER": "me@gmail.com", "EMAIL_PASS": "p"})

    assert mail_server(current) == SmtpServer("h", 587)


@pytest.mark.parametrize("environ", [{}, {"EMAIL_USER": "me@gmail.com"}, {"EMAIL_PASS": "p"}])
def test_a_missing_mail_server_is_reported_by_its_setting(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"^SMTP_URL is not set: "):
        _ = mail_server(read(environ))


@pytest.mark.parametrize(
    ("environ", "sender"),
    [
        ({"MAIL_FROM": "a@example.com"}, "a@example.com"),
        ({"MAIL_FROM": "Jörg <a@example.com>", "EMAIL_USER": "b@example.com"}, "Jörg <a@example.com>"),
        ({"SMTP_URL": "smtp://c%40example.com:p@h"}, "c@example.com"),
    ],
)
def test_the_sender_is_mail_from_or_the_smtp_user(environ: dict[str, str], sender: str) -> None:
    assert read(environ).smtp.sender == sender


def test_a_missing_sender_is_reported_by_its_setting() -> None:
    with pytest.raises(SettingsError, match=r"^MAIL_FROM is not set: "):
        _ = read({"SMTP_URL": "smtp://u:p@h"}).smtp.sender


@pytest.mark.parametrize("sender", ["a@example.com\r\nBcc: b@example.com", "a@example.com\0", "a\t@example.com"])
def test_a_sender_on_two_lines_is_refused(sender: str) -> None:
    with pytest.raises(SettingsError, match=r"^MAIL_FROM contains a control character"):
        _ = read({"MAIL_FROM": sender}).smtp.sender


@pytest.mark.parametrize("option", ["dsn=no", "return_path=localhost", "return_path=a%0D%0Ab.example.com", "dsn="])
def test_a_wrong_option_for_reports_is_refused_by_name(option: str) -> None:
    assert said(f"smtp://h?{option}").startswith(f"SMTP_URL has {option.partition('=')[0]}=")


def test_the_options_for_reports_are_parsed() -> None:
    account = mail_server(read({"SMTP_URL": "smtp://h?dsn=off&return_path=b.example.com"}))
    assert (account.dsn, account.return_path) == (False, "b.example.com")
