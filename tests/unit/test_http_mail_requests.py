"""Requests to mail providers: the fields that the APIs expect, and mails that a provider cannot send."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.channels import Deferred, ProviderDown, Refused
from actors.channels.email.http.outgoing import Outgoing, written
from actors.channels.email.http.provider import APIS
from actors.channels.email.mailboxes import Mailbox
from actors.channels.http_api import Request
from db.records import Claimed
from settings import providers
from settings.http_account import HttpAccount
from tests.providers.apis import SECRET, URLS, parsed
from tests.providers.mails import CONTENTS, MODEST, PLAIN, RICH

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OWN = Mailbox("Shop", "noreply@example.com")
KINDS = sorted(APIS)
BY_FIELDS = ("postmark", "sendgrid", "resend", "brevo")


def request(kind: str, mail: Claimed, contents: tuple[bytes, ...] = (), leave: str | None = None) -> Request:
    account = providers.parse("PROVIDER_TEST", URLS[kind]).account
    assert isinstance(account, HttpAccount)
    return APIS[kind].request(Outgoing(mail, OWN, NOW, contents, leave), account)


def document(kind: str, mail: Claimed = RICH, contents: tuple[bytes, ...] = CONTENTS) -> Any:
    return orjson.loads(request(kind, mail, contents).body)


def refusal(kind: str, mail: Claimed, contents: tuple[bytes, ...] = ()) -> str:
    with pytest.raises(Refused) as caught:
        request(kind, mail, contents)
    assert caught.value.receipt.phase == "compose"
    return str(caught.value)


def attached(filename: str, content_type: str, **more: str) -> Claimed:
    return PLAIN._replace(mail={"attachments": [{"filename": filename, "contentType": content_type, **more}]})


def test_postmark_gets_the_fields_that_it_documents() -> None:
    assert document("postmark") == {
        "From": "Shop <noreply@example.com>",
        "To": '"Doe, Ann" <a@example.com>',
        "Cc": "Bob <b@example.com>",
        "Bcc": "c@example.com",
        "ReplyTo": "Help <help@example.com>",
        "Subject": RICH.subject,
        "TextBody": RICH.message,
        "HtmlBody": RICH.html,
        "Headers": [
            {"Name": "List-Unsubscribe", "Value": "<https://example.com/leave?list=7>"},
            {"Name": "List-Unsubscribe-Post", "Value": "List-Unsubscribe=One-Click"},
            {"Name": "X-Campaign", "Value": "=?utf-8?b?R3LDvMOfZQ==?="},
            {"Name": "Auto-Submitted", "Value": "auto-generated"},
            {"Name": "Message-ID", "Value": "<5.60dd710212000@example.com>"},
            {"Name": "X-PM-KeepID", "Value": "true"},
        ],
        "Attachments": [
            {"Name": "a.txt", "ContentType": "text/plain", "Content": "YWJj"},
            {"Name": "logo.gif", "ContentType": "image/gif", "Content": "R0lG", "ContentID": "cid:logo"},
        ],
    }


def test_sendgrid_gets_the_fields_that_it_documents() -> None:
    assert document("sendgrid") == {
        "personalizations": [
            {
                "to": [{"email": "a@example.com", "name": "Doe, Ann"}],
                "cc": [{"email": "b@example.com", "name": "Bob"}],
                "bcc": [{"email": "c@example.com"}],
            }
        ],
        "from": {"email": "noreply@example.com", "name": "Shop"},
        "reply_to": {"email": "help@example.com", "name": "Help"},
        "subject": RICH.subject,
        "content": [{"type": "text/plain", "value": RICH.message}, {"type": "text/html", "value": RICH.html}],
        "headers": {
            "List-Unsubscribe": "<https://example.com/leave?list=7>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "X-Campaign": "=?utf-8?b?R3LDvMOfZQ==?=",
            "Auto-Submitted": "auto-generated",
            "Message-ID": "<5.60dd710212000@example.com>",
        },
        "attachments": [
            {"filename": "a.txt", "type": "text/plain", "content": "YWJj"},
            {
                **{"filename": "logo.gif", "type": "image/gif", "content": "R0lG"},
                **{"disposition": "inline", "content_id": "logo"},
            },
        ],
    }


def test_resend_gets_the_fields_that_it_documents_and_the_same_idempotency_key() -> None:
    found = document("resend")

    assert (found["from"], found["to"]) == ("Shop <noreply@example.com>", ['"Doe, Ann" <a@example.com>'])
    assert (found["cc"], found["bcc"]) == (["Bob <b@example.com>"], ["c@example.com"])
    assert found["reply_to"] == ["Help <help@example.com>"]
    assert (found["subject"], found["text"], found["html"]) == (RICH.subject, RICH.message, RICH.html)
    assert found["headers"]["List-Unsubscribe"] == "<https://example.com/leave?list=7>"
    assert found["attachments"] == [
        {"filename": "a.txt", "content_type": "text/plain", "content": "YWJj"},
        {"filename": "logo.gif", "content_type": "image/gif", "content": "R0lG", "content_id": "logo"},
    ]
    assert request("resend", RICH, CONTENTS).headers["Idempotency-Key"] == "5.60dd710212000@example.com"


def test_brevo_gets_the_fields_that_it_documents_and_the_same_idempotency_key() -> None:
    found = document("brevo", MODEST, CONTENTS[:1])

    key = found["headers"].pop("Idempotency-Key")
    assert len(key) == 36
    assert key == document("brevo", MODEST, CONTENTS[:1])["headers"]["Idempotency-Key"]
    assert key != document("brevo", MODEST._replace(id=6), CONTENTS[:1])["headers"]["Idempotency-Key"]
    assert found == {
        "sender": {"email": "noreply@example.com", "name": "Shop"},
        "to": [{"email": "a@example.com", "name": "Doe, Ann"}],
        "cc": [{"email": "b@example.com", "name": "Bob"}],
        "bcc": [{"email": "c@example.com"}],
        "replyTo": {"email": "help@example.com", "name": "Help"},
        "subject": RICH.subject,
        "textContent": RICH.message,
        "htmlContent": RICH.html,
        "headers": {"X-Campaign": "greetings"},
        "attachment": [{"name": "a.txt", "content": "YWJj"}],
    }


def test_brevo_gets_the_text_as_html_if_there_is_no_html() -> None:
    found = document("brevo", PLAIN._replace(message="1 < 2\n& <b>"), ())

    assert found["htmlContent"] == '<div style="white-space:pre-wrap">1 &lt; 2\n&amp; &lt;b&gt;</div>'
    assert found["textContent"] == "1 < 2\n& <b>"


def test_ses_gets_the_whole_mail_and_all_recipients() -> None:
    found = document("ses")

    assert found["FromEmailAddress"] == "noreply@example.com"
    assert found["Destination"] == {"ToAddresses": ["a@example.com", "b@example.com", "c@example.com"]}
    assert parsed(b64decode(found["Content"]["Raw"]["Data"]))["Cc"] == "Bob <b@example.com>"


def test_mailgun_gets_a_form_whose_boundary_does_not_occur_in_the_mail() -> None:
    made = request("mailgun", PLAIN._replace(message="--form-5.60dd710212000\r\nform-5.60dd710212000-"))

    form = parsed(f"Content-Type: {made.headers['Content-Type']}\r\n\r\n".encode() + made.body)
    to, message = form.iter_parts()
    assert to.get_content().strip() == "a@example.com"
    mail = message.get_content()
    assert isinstance(mail, EmailMessage)
    assert mail.get_content().splitlines() == ["--form-5.60dd710212000", "form-5.60dd710212000-"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_notification_makes_the_same_request(kind: str) -> None:
    mail, contents = (MODEST, CONTENTS[:1]) if kind == "brevo" else (RICH, CONTENTS)

    assert request(kind, mail, contents) == request(kind, mail, contents)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sender_of_the_notification_replaces_our_own(kind: str) -> None:
    mail = PLAIN._replace(mail={"from": "Other <other@example.org>"})
    outgoing = Outgoing(mail, OWN, NOW)

    assert outgoing.blamed is Refused
    assert Outgoing(PLAIN, OWN, NOW).blamed is ProviderDown
    assert outgoing.message_id.endswith("@example.org")
    if kind in BY_FIELDS:
        assert "other@example.org" in str(document(kind, mail, ()))


@pytest.mark.parametrize("kind", KINDS)
def test_missing_attachments_refuse_a_mail(kind: str) -> None:
    assert "attachments are missing" in refusal(kind, MODEST)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mail_with_our_unsubscribe_link_waits_for_public_url(kind: str) -> None:
    with pytest.raises(Deferred, match="PUBLIC_URL"):
        request(kind, PLAIN._replace(mail={"unsubscribe": True}))


@pytest.mark.parametrize("kind", sorted({*KINDS} - {"brevo"}))
def test_a_mail_that_asks_for_it_has_our_unsubscribe_link(kind: str) -> None:
    made = request(kind, PLAIN._replace(mail={"unsubscribe": True}), leave="https://notify.example.com/u/abc")

    body = b64decode(orjson.loads(made.body)["Content"]["Raw"]["Data"]) if kind == "ses" else made.body
    assert b"<https://notify.example.com/u/abc>" in body


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("field", ["cc", "bcc"])
def test_a_mail_from_that_needs_smtputf8_means_that_the_provider_is_down(kind: str, field: str) -> None:
    account = providers.parse("PROVIDER_TEST", URLS[kind]).account
    assert isinstance(account, HttpAccount)
    outgoing = Outgoing(PLAIN._replace(mail={field: ["b@example.com"]}), Mailbox("", "bücher@example.com"), NOW)

    with pytest.raises(ProviderDown, match="needs SMTPUTF8"):
        APIS[kind].request(outgoing, account)


@pytest.mark.parametrize(
    ("mail", "contents", "text"),
    [
        (attached("a.gif", "image/gif", contentId="a"), (b"x",), "a.gif is an image inside the HTML"),
        (attached("a.xyz", "text/plain"), (b"x",), "attachment a.xyz"),
        (attached("ä.txt", "text/plain"), (b"x",), "attachment ä.txt"),
        (attached("txt", "text/plain"), (b"x",), "attachment txt"),
        (PLAIN._replace(mail={"headers": {"X-Name": "Zoë"}}), (), "header X-Name has characters that are not ASCII"),
        (PLAIN._replace(mail={"headers": {"References": "<1@x>"}}), (), "header References, which is not an X- header"),
        (PLAIN._replace(mail={"unsubscribe": {"url": "https://x"}}), (), "header List-Unsubscribe"),
        (PLAIN._replace(mail={"replyTo": "Zoë <z@example.com>"}), (), "the name in replyTo is not ASCII"),
    ],
)
def test_fields_that_brevo_would_drop_are_refused_by_name(
    mail: Claimed, contents: tuple[bytes, ...], text: str
) -> None:
    assert text in refusal("brevo", mail, contents)


def test_a_name_that_brevo_would_leave_out_is_encoded() -> None:
    found = document("brevo", PLAIN._replace(mail={"recipientName": "Müller, Zoë"}), ())

    assert found["to"][0]["name"].startswith("=?utf-8?b?")


@pytest.mark.parametrize(
    ("filename", "content_type", "sent"),
    [
        *(("a.txt", "text/plain", True), ("a.TXT", "text/plain; charset=utf-8", True), ("a.csv", "text/csv", True)),
        *(("a.jpg", "image/jpeg", True), ("a.jpg", "image/jpg", True), ("a", "application/octet-stream", True)),
        *(("a.unknown", "application/x-own", True), ("a.txt", "text/csv", False), ("a.pdf", "image/png", False)),
    ],
)
def test_an_attachment_that_makes_resend_drop_the_mail_is_refused(
    filename: str, content_type: str, *, sent: bool
) -> None:
    mail = attached(filename, content_type)
    if sent:
        assert document("resend", mail, (b"x",))["attachments"][0]["filename"] == filename
    else:
        assert f"whose attachment {filename} has another extension" in refusal("resend", mail, (b"x",))


@given(name=st.text(max_size=40))
def test_a_written_mailbox_is_one_line_with_one_address(name: str) -> None:
    text = written(Mailbox(name, "a@example.com"))

    assert text.endswith("a@example.com>" if name else "a@example.com")
    assert not {"\r", "\n", "\0"} & set(text)
    unquoted = text.removesuffix("<a@example.com>").rstrip()
    if {",", ";", "<", "@"} & set(name):
        assert unquoted.startswith('"')
        assert unquoted.endswith('"')


@pytest.mark.parametrize("kind", KINDS)
@given(subject=st.text(max_size=60), message=st.text(max_size=200), name=st.text(max_size=30))
def test_any_text_can_be_sent(kind: str, subject: str, message: str, name: str) -> None:
    made = request(kind, PLAIN._replace(subject=subject, message=message, mail={"recipientName": name}))

    assert made.body
    assert SECRET not in repr(made)
    assert all(value.isascii() and value.isprintable() for value in made.headers.values())
