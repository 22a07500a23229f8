"""A string that is accepted as a mailbox is one recipient, on the envelope and in the header alike."""

from __future__ import annotations

from email import message_from_string
from email.message import EmailMessage
from email.policy import default
from email.utils import getaddresses
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.channels.contract import Rights
from actors.channels.email.addresses import address_fault, exact, normalised
from actors.channels.email.document import Mails
from actors.channels.email.mail import Mail, compose
from actors.channels.email.mailboxes import mail_from, on_the_wire, split
from api.schemas.documents import Documents
from settings import Settings, SettingsError, read
from tests.unit.test_mail import SENDER, notification

NOTIFICATION = Documents(read({}))
MAILS = Mails(Settings())
LISTS = [
    "Ann <a@example.com>, Bob <b@example.com>",
    "Ann <a@example.com>,Bob <b@example.com>",
    "a@example.com, Bob <b@example.com>",
    "a@example.com,b@example.com",
    "a@example.com; b@example.com",
    "Ann <a@example.com>; Bob <b@example.com>",
    "Ann <a@example.com> Bob <b@example.com>",
    "<a@example.com> <b@example.com>",
    "<a@example.com><b@example.com>",
    "a@example.com b@example.com",
    "a@example.com <b@example.com>, c@example.com",
    '"Ann" <a@example.com>, "Bob" <b@example.com>',
    '"Doe, Ann" <a@example.com>, "Doe, Bob" <b@example.com>',
    "Team: a@example.com, b@example.com;",
    "Team: Ann <a@example.com>, Bob <b@example.com>;",
    "Team:;, Bob <b@example.com>, c@example.com",
    "Ann <@relay.example:a@example.com>",
    "<@relay.example,@other.example:a@example.com>",
    "Ann (a@example.com, work) <b@example.com>",
    "ann@example.com (work), Bob <b@example.com>",
    "Ann <ann>, Bob <b@example.com>",
    "a @ example.com, Bob <b@example.com>",
    "Ann <a@example.com>\nBob <b@example.com>",
    "Ann <a@example.com>\r\nBcc: b@example.com",
    "Ann <a@exämple.com>, Bob <b@example.com>",
    "用户 <用户@例え.jp>, Bob <b@example.com>",
    "a@example.com，Bob <b@example.com>",  # noqa: RUF001 - a full-width comma
    "a＠example.com，Bob <b@example.com>",  # noqa: RUF001 - and a full-width at
    "a＠example.com, Bob <b@example.com>",  # noqa: RUF001
    "a@example.com、Bob <b@example.com>",
    "a@example.com،Bob <b@example.com>",
    "a@example.com；Bob <b@example.com>",  # noqa: RUF001
    "a@example.com/Bob <b@example.com>",
    "a@example.com|c@example.com <b@example.com>",
    "=?utf-8?q?Ann?= <a@example.com>, =?utf-8?q?Bob?= <b@example.com>",
    "Ann <a@example.com,b@example.com>",
    "Ann <a@example.com;b@example.com>",
    "Ann <a@example.com",
    "Ann <=?utf-8?q?b=40example.com=3E?=@example.com>",
]
ONES = [
    ("Doe, John <j@example.com>", "Doe, John"),
    ('"Doe, John" <j@example.com>', "Doe, John"),
    ('"Ann <a@example.com>, Bob" <j@example.com>', "Ann <a@example.com>, Bob"),
    ("a@example.com <j@example.com>", "a@example.com"),
    ("j@example.com <j@example.com>", "j@example.com"),
    ("Sales @ Acme <j@example.com>", "Sales @ Acme"),
    ("Re: Shop; Ltd. <j@example.com>", "Re: Shop; Ltd."),
    ("John (Sales) <j@example.com>", "John (Sales)"),
    ("=?utf-8?q?Ann?= <j@example.com>", "=?utf-8?q?Ann?="),
    ('John "Johnny" Doe <j@example.com>', 'John "Johnny" Doe'),
    ("I <3 mail <j@example.com>", "I <3 mail"),
    ("<j@example.com>", ""),
    ("j@example.com", ""),
]
FIELDS = ["from", "replyTo", "cc", "bcc"]
PARTS = [
    *("a@example.com", "b@x.example", "Ann", "Bob", "<", ">", ",", ";", ":", '"', "(", ")", " ", "@", "\\", ".", ".."),
    *("=?utf-8?q?x?=", "=?utf-8?b?YUBi?=", "é", "用", "\u202e", "'", '"a b"@example.com', "a..b@docomo.ne.jp", "\t"),
]
written = st.one_of(
    st.lists(st.sampled_from(PARTS), max_size=8).map("".join),
    st.builds("{} <{}@example.com>".format, st.text(max_size=20), st.text(min_size=1, max_size=10)),
    st.builds("{} <{}>".format, st.lists(st.sampled_from(PARTS), max_size=5).map("".join), st.sampled_from(PARTS)),
)


def faults(**fields: Any) -> list[dict[str, str]]:
    document = {"type": "email", "recipient": "r@example.org", "message": "Hello", **fields}
    rights = Rights(("@example.com", "@docomo.ne.jp", "@x.example"))
    return NOTIFICATION.faults(document, rights) or NOTIFICATION.read(document, rights).faults


def composed(**mail: Any) -> tuple[Mail, EmailMessage]:
    made = compose(notification(recipient="r@example.org", mail=mail), SENDER)
    message = message_from_string(made.content.decode(), policy=default)
    assert isinstance(message, EmailMessage)
    return made, message


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("text", LISTS)
def test_a_list_of_addresses_in_one_string_is_refused_with_its_field(field: str, text: str) -> None:
    several = field in ("cc", "bcc")
    [fault] = faults(**{field: [text] if several else text})
    assert fault["pointer"] == (f"/{field}/0" if several else f"/{field}")


@pytest.mark.parametrize("text", LISTS[:13])
def test_the_refusal_of_a_list_says_what_to_do(text: str) -> None:
    [fault] = faults(cc=[text])
    assert "give each address as a string of its own" in fault["detail"], fault
    assert "a@example.com" not in fault["detail"]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(("text", "name"), ONES)
def test_a_single_mailbox_is_accepted_with_any_name(field: str, text: str, name: str) -> None:
    assert faults(**{field: [text] if field in ("cc", "bcc") else text}) == []
    assert split(text) == (name, "j@example.com")


@pytest.mark.parametrize("text", LISTS)
def test_mail_from_with_several_mailboxes_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="MAIL_FROM"):
        mail_from(text)


@pytest.mark.parametrize(
    "name", ["Ann <a@example.com>, Bob", "a@example.com, Bob", '"Ann <a@example.com>, Bob"', "Bcc: a@example.com"]
)
def test_an_address_inside_a_display_name_is_no_recipient(name: str) -> None:
    [fault] = faults(recipientName=name)
    assert fault["pointer"] == "/recipientName"
    assert "cc or bcc" in fault["detail"]


@pytest.mark.parametrize("name", ["Doe, John", "r@example.org", "Sales @ Acme", "I <3 mail", "A; B: C"])
def test_a_recipients_name_may_have_any_punctuation(name: str) -> None:
    assert faults(recipientName=name) == []


@given(written, st.sampled_from(["cc", "replyTo", "from"]))
@example('"a..b"@docomo.ne.jp', "cc")
@example("a..b@docomo.ne.jp", "cc")
@example('X <"a\\"b"@example.com>', "cc")
@example('"=?utf-8?b?YUBi?="@example.com', "cc")
def test_an_accepted_mailbox_is_the_same_address_on_the_envelope_and_in_the_header(text: str, field: str) -> None:
    if faults(**{field: [text] if field == "cc" else text}):
        return
    mail, message = composed(**{field: [text] if field == "cc" else text})
    wanted = on_the_wire(split(text)[1])
    header = {"cc": "Cc", "replyTo": "Reply-To", "from": "From"}[field]
    assert mail.recipients == (("r@example.org", wanted) if field == "cc" else ("r@example.org",))
    assert field != "from" or mail.sender == wanted
    [shown] = message[header].addresses
    assert normalised(shown.addr_spec) == normalised(wanted)
    raw = message_from_string(mail.content.decode())[header]
    assert [normalised(address) for _, address in getaddresses([raw])] == [normalised(wanted)]


@pytest.mark.parametrize("address", ["a..b@docomo.ne.jp", "a.@docomo.ne.jp", ".a@ezweb.ne.jp", "a..@DOCOMO.ne.jp"])
def test_japanese_addresses_with_odd_dots_are_valid_and_quoted_on_the_wire(address: str) -> None:
    local, _, domain = address.partition("@")
    quoted = f'"{local}"@{domain}'
    assert faults(recipient=address) == faults(recipient=quoted) == faults(cc=[address, "b@x.example"]) == []
    assert on_the_wire(address) == on_the_wire(quoted) == quoted
    assert normalised(address) == normalised(quoted)
    assert compose(notification(recipient=address), SENDER).recipients == (quoted,)


@pytest.mark.parametrize("address", ["a..b@example.com", "a.@example.com", "a b@docomo.ne.jp", "a..b c@docomo.ne.jp"])
def test_unquoted_odd_dots_and_spaces_are_a_fault_in_other_addresses(address: str) -> None:
    assert address_fault(address)


def test_an_address_with_needless_quotes_is_still_suppressed() -> None:
    assert normalised('"Ann"@example.com') == normalised('"a\\nn"@Example.com') == "ann@example.com"
    [fault] = faults(recipient="ann@x.example", cc=['"ann"@x.example'])
    assert (fault["pointer"], "leave them out" in fault["detail"]) == ("/cc/0", True)
    [twice] = faults(recipient="a..b@docomo.ne.jp", cc=['"a..b"@docomo.ne.jp'])
    assert twice == {"pointer": "/cc/0", "detail": "is a recipient of this mail already: leave it out"}


@pytest.mark.parametrize(
    "address", ["noreply\u212a@example.com", "noreply\u017f@example.com", "no\uff52eply@example.com"]
)
def test_a_sender_is_compared_exactly_but_for_ascii_case(address: str) -> None:
    rules = Mails(read({"MAIL_FROM": "noreplyk@example.com", "SMTP_URL": "smtp://h"}))
    for senders in ((), ("noreplys@example.com",), ("noreplyK@example.com",)):
        assert rules.read({"from": address, "recipient": "a@b.example"}, Rights(senders)).faults
    assert not rules.read({"from": "NoReplyK@EXAMPLE.com", "recipient": "a@b.example"}, Rights()).faults


def test_unicode_normalisation_merges_recipients_but_not_senders() -> None:
    composed_, decomposed = "jos\u00e9@example.com", "jose\u0301@example.com"
    assert exact(composed_) != exact(decomposed)
    assert normalised(composed_) == normalised(decomposed)


def test_addresses_with_a_sharp_s_and_with_two_s_are_two_mailboxes() -> None:
    assert faults(cc=["straße@x.example", "strasse@x.example"]) == []
