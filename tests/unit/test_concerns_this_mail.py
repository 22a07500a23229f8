"""Refusals that concern one mail, and refusals that another connection may not repeat."""

from __future__ import annotations

import pytest

from actors.channels import Deferred, Refused
from actors.channels.email.answers import understood
from actors.channels.email.refusals import concerns_this_mail, judge

PHASES = ("mail", "rcpt", "data", "content")
AFTER_MAIL = PHASES[1:]
# Whichever phase they come in.
ABOUT_THIS_MAIL = """
550 5.1.1 <ann@example.com>: Recipient address rejected: User unknown in local recipient table
550 5.1.1 no
450 4.1.2 <ann@nowhere.example>: Recipient address rejected: Domain not found
553 5.1.8 <noreply@example.com>: Sender address rejected: Domain not found
452 4.2.2 The email account that you tried to reach is over quota
450 4.2.0 busy
450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered.
552 5.2.3 Message size exceeds fixed limit
552 5.3.4 Message size exceeds maximum message size
452 4.3.4 Message too big for now
554 5.6.0 no
555 5.5.4 Unsupported option: SMTPUTF8
501 5.5.2 Syntax error
501 5.1.3 Bad recipient address syntax
550 5.4.1 Recipient address rejected: Access denied.
450 4.7.1 Greylisted, try again in 300 seconds
451 4.7.1 Greylisting in action, please come back later
454 4.7.1 <ann@example.com>: Relay access denied
554 Message rejected: spam
554 5.7.1 Message contains a virus
550 mailbox unavailable
550 5.5.0 Requested action not taken: mailbox unavailable
554 delivery error: dd This user doesn't have a yahoo.example account
"""  # noqa: E501
# Once the sender was accepted.
BY_THE_CODE_ALONE = """
550 no
550 5.0.0 no
551 not here
552 no
553 no
550 5.7.1 no
554 5.7.1 Message refused by policy
550 5.7.26 not accepted due to the domain's policy
550 Administrative prohibition
"""
NOT_ABOUT_THIS_MAIL = """
432 4.3.2 Concurrent connections limit exceeded.
454 Throttling failure: Maximum sending rate exceeded.
421 4.7.0 mail.example.net Error: too many connections from unknown[192.0.2.1]
451 4.7.0 Try again later
452 Requested action not taken: insufficient system storage
452 4.3.1 Insufficient system storage
452 try later
452 4.5.3 Too many recipients
452 4.5.3 no
451 Requested action aborted: local error in processing
451 4.3.0 Error: queue file write error
451 later
450 later
450 4.7.1 Client host rejected: cannot find your hostname, [192.0.2.1]
451 4.7.1 Service unavailable - try again later
554 Transaction failed
554 no
554 5.3.0 no
554 5.5.0 no
554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied
503 5.5.1 nested MAIL command
421 Service not available, closing transmission channel
421 4.4.2 timeout
421 4.7.0 mail.example.net Error: too many errors
421 mail.example.net: too many messages in this connection
450 Too many messages received on this connection
550 Too many messages in this session
552 Maximum number of mails per connection reached
554 5.7.1 too many transactions per session
550 5.7.1 Too many invalid recipients
452 4.5.3 Service unavailable, batch limit reached
550 5.4.5 Daily user sending limit exceeded
530 5.7.0 Authentication required
"""


def concerns(phase: str, said: str) -> bool:
    reply = understood(said.encode())
    error = judge(phase, reply)
    return concerns_this_mail(error(reply.text, phase=phase, reply_code=reply.code, enhanced_code=reply.enhanced_code))


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("said", ABOUT_THIS_MAIL.strip().splitlines())
def test_a_refusal_of_a_recipient_or_content_does_not_depend_on_the_connection(said: str, phase: str) -> None:
    assert concerns(phase, said)


@pytest.mark.parametrize("said", BY_THE_CODE_ALONE.strip().splitlines())
def test_a_mailbox_refused_without_a_reason_does_not_depend_on_the_connection(said: str) -> None:
    assert all(concerns(phase, said) for phase in AFTER_MAIL)
    assert not concerns("mail", said)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("said", NOT_ABOUT_THIS_MAIL.strip().splitlines())
def test_other_replies_are_not_about_this_mail(said: str, phase: str) -> None:
    assert not concerns(phase, said)


@pytest.mark.parametrize("error", [Deferred, Refused])
def test_a_refusal_without_a_reply_is_about_the_mail(error: type[Deferred] | type[Refused]) -> None:
    text = "the mail has 11000 octets, but the mail server accepts at most 5000"
    assert concerns_this_mail(error(text, phase="mail"))


def test_an_address_at_the_start_of_a_reply_does_not_change_its_meaning() -> None:
    for text, about in (("ann@example.com: 550 5.1.1 unknown", True), ("ann@example.com: 452 try later", False)):
        code = int(text.split()[1])
        assert concerns_this_mail(Deferred(text, phase="rcpt", reply_code=code)) is about
