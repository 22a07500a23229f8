"""Replies that ask us to send less, in the words of real servers, and replies that only look like them."""

from __future__ import annotations

import pytest

from actors.channels import Deferred, ProviderDown, Refused, Throttled, Undelivered
from actors.channels.email.answers import understood
from actors.channels.email.refusals import judge, says_too_many

# In answer to anything: Postfix, Exim, Sendmail, Exchange, Gmail, Yahoo, Outlook, SES and others.
SLOW_DOWN = """
421 4.7.0 mail.example.net Error: too many connections from unknown[192.0.2.1]
421 4.7.0 mail.example.net Error: too many new TLS sessions from unknown[192.0.2.1]
421 4.3.2 All server ports are busy
450 4.3.2 Service currently unavailable
450 4.7.1 Error: too much mail from 192.0.2.1
450 4.7.1 Error: too many recipients from 192.0.2.1
450 4.7.1 Error: too many AUTH commands from 192.0.2.1
450 4.7.1 <noreply@example.com>: Sender address rejected: rate limit exceeded
450 4.7.1 rate
421 mail.example.net: Too many concurrent SMTP connections; please try again later
421 Too many concurrent SMTP connections from this IP address; please try again later.
421 mail.example.net: Too much load; please try again later
451 Sender rate overlimit - 120.3 / 1h
421 4.3.2 Too many open connections.
421 4.3.2 Connection rate limit exceeded.
452 4.3.2 Connection rate limit exceeded.
421 4.3.2 mail.example.net rejecting connections on daemon MTA: load average: 14
452 4.4.5 Insufficient disk space; try again later
421 4.4.5 Service unavailable, concurrency limit reached
451 4.4.5 Mail system congestion
421 4.3.2 The maximum number of concurrent server connections has exceeded a limit, closing transmission channel
421 4.3.2 The maximum number of concurrent connections has exceeded a limit per source, closing transmission channel
421 4.4.2 Message submission rate for this client has exceeded the configured limit
432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded; [Hostname=EXAMPLE]
432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information.
432 concurrent connections
452 4.3.1 Insufficient system resources
451 4.7.0 Temporary server error. Please try again later. PRX4
451 4.7.500 Server busy. Please try again later from [192.0.2.1]
451 4.7.550 Access denied, please try again later
451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation.
421 RP-001 (BAY) Unfortunately, some messages from 192.0.2.1 weren't sent. The mail server IP connecting to Outlook.com server has exceeded the rate limit allowed.
421 RP-002 The mail server IP connecting to Outlook.com server has exceeded the rate limit allowed on this connection. Please try again later.
421 RP-003 The mail server IP connecting to Outlook.com server has exceeded the connection limit allowed.
421-4.7.28 [192.0.2.1 15] Our system has detected an unusual rate of unsolicited mail originating from your IP address. To protect our users from spam, mail sent from your IP address has been temporarily rate limited.
421-4.7.0 Our system has detected an unusual rate of unsolicited mail originating from your IP address.
421 4.7.0 Try again later, closing connection. (EHLO) a1-gsmtp
421 4.7.0 Temporary System Problem. Try again later (10). a1-gsmtp
421 4.7.0 Too many concurrent sessions
454 4.7.0 Too many login attempts, please try again later. a1-gsmtp
421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.example/421-ts04.html
421 4.7.0 [TS01] Messages from 192.0.2.1 temporarily deferred
454 Throttling failure: Maximum sending rate exceeded.
454 Throttling failure: Daily message quota exceeded.
421 Too many concurrent SMTP connections
452 Too many messages sent, slow down
421 4.7.0 rate limit exceeded, try again later
421 4.7.1 Rate limit reached. Please try again later.
421 4.1.0 192.0.2.1 Too many sessions opened
421 4.7.1 Too many concurrent connections from 192.0.2.1
421 Trop de connexions, veuillez verifier votre configuration. Too many connections, slow down. OFR004_104 [104]
550 Too many connections, slow down. LPN007_405
550 5.4.6 mail rate exceeded limit
554 5.7.0 Too many messages per second
554 Too many concurrent sessions
450 4.7.1 Too many mails, try again in 60 seconds
452 4.2.2 Daily sending quota exceeded, try again tomorrow
450 4.7.1 Hourly sending limit reached for user shop
451 You've exceeded your messaging limits
421 4.7.0 try again later
451 4.7.0 try again later
450 4.3.2 try again later
"""  # noqa: E501
# About the recipient or the mail, in much the same words or with the same codes.
NOT_OUR_RATE = """
450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered.
450 4.2.1 The user you are trying to contact is receiving mail too quickly. Please resend your message at a later time.
450 4.7.1 Ratelimit exceeded for mailbox ann@mail.example. Try again later.
432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded; [Hostname=EXAMPLE]
450 4.7.1 <ann@example.com>: Recipient address rejected: Greylisted, see https://postgrey.example/help/ann
450 4.7.1 Greylisted, try again in 300 seconds
451 4.7.1 Greylisting in action, please come back later
451 4.7.0 Greylisted: try again later
450 4.7.0 Your mail is graylisted, try again later
451 4.7.1 This is the first time this sender writes to us, try again in 5 minutes
452 4.2.2 The email account that you tried to reach is over quota
452 4.2.2 Mailbox full
450 4.2.0 busy
450 4.2.1 mailbox busy
451 4.3.0 come back later
451 4.3.0 <ann@example.com>: Temporary lookup failure
451 4.7.1 Service unavailable - try again later
451 4.7.0 The content of this message is suspicious, it is being examined
451 4.6.0 virus scanner failed
452 4.3.1 Insufficient system storage
451 Requested action aborted: local error in processing
450 Requested action not taken: mailbox unavailable
450 4.1.2 <ann@nowhere.example>: Recipient address rejected: Domain not found
450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]
450 4.7.1 Too many invalid recipients
"""  # noqa: E501
PHASES = ("mail", "rcpt", "data", "content")


def lines(text: str) -> list[str]:
    return text.strip().splitlines()


def judged(phase: str, said: str) -> type[Undelivered]:
    return judge(phase, understood(said.encode()))


# At RCPT they may be about this recipient: one client's must not slow down everybody.
CODE_ALONE = """
450 4.3.2 Service currently unavailable
421 4.7.0 Try again later, closing connection. (EHLO) a1-gsmtp
421 4.3.2 mail.example.net rejecting connections on daemon MTA: load average: 14
421 4.7.0 Temporary System Problem. Try again later (10). a1-gsmtp
452 4.4.5 Insufficient disk space; try again later
421 4.7.0 [TS01] Messages from 192.0.2.1 temporarily deferred
451 4.7.0 Temporary server error. Please try again later. PRX4
451 4.7.550 Access denied, please try again later
451 4.7.0 try again later
450 4.3.2 try again later
421 4.7.0 try again later
"""


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("said", lines(SLOW_DOWN))
def test_a_reply_that_asks_for_a_lower_rate_is_throttling(said: str, phase: str) -> None:
    concerns_recipient = phase == "rcpt" and said in lines(CODE_ALONE)
    assert (judged(phase, said) is Throttled) is not concerns_recipient


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("said", lines(NOT_OUR_RATE))
def test_a_reply_that_only_looks_like_a_rate_limit_is_deferred(said: str, phase: str) -> None:
    assert judged(phase, said) is Deferred


@pytest.mark.parametrize("phase", ["greeting", "ehlo"])
@pytest.mark.parametrize(
    "said", ["421 4.3.2 too many concurrent connections", "554 Too many connections", "450 4.3.2 no"]
)
def test_a_reply_to_the_connection_or_ehlo_can_be_throttling(said: str, phase: str) -> None:
    assert judged(phase, said) is Throttled


@pytest.mark.parametrize("phase", ["starttls", "auth"])
@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("454 4.7.0 TLS not available due to local problem", Deferred),
        ("454 4.7.0 Temporary authentication failure: Connection lost to authentication server", Deferred),
        ("421 4.7.0 Too many failed login attempts", ProviderDown),
        ("454 4.7.0 Too many login attempts, please try again later.", Throttled),
    ],
)
def test_4_7_0_to_starttls_or_auth_needs_words_about_our_rate(said: str, phase: str, error: type[Undelivered]) -> None:
    assert judged(phase, said) is error


@pytest.mark.parametrize(
    "said", ["452 4.5.3 Too many recipients", "452 4.5.3 Error: too many recipients", "452 4.5.3 no"]
)
def test_4_5_3_is_about_our_rate_only_where_all_recipients_were_accepted(said: str) -> None:
    assert [judged(phase, said) for phase in PHASES] == [Deferred, Deferred, Deferred, Throttled]


@pytest.mark.parametrize("phase", PHASES)
def test_4_5_3_with_words_about_connections_is_about_our_rate_anywhere(phase: str) -> None:
    assert judged(phase, "452 4.5.3 Too many connections from your host") is Throttled


@pytest.mark.parametrize("phase", ["rcpt", "data", "content"])
@pytest.mark.parametrize(
    "said",
    [
        "550 5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages",
        "554 5.2.122 The recipient has exceeded their limit for the number of messages they can receive per hour.",
        "554 5.7.1 Message rejected: spam score exceeds threshold for this sender",
        "550 5.7.1 Too many invalid recipients",
        "554 5.4.6 Too many hops",
    ],
)
def test_a_permanent_refusal_for_another_reason_than_our_rate_stays_permanent(said: str, phase: str) -> None:
    assert judged(phase, said) is Refused


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize(
    "said",
    [
        "550 5.4.5 Daily user sending limit exceeded",
        "550 Domain shop.example has exceeded the max emails per hour (250/250 (100%)) allowed. Message discarded.",
        "550 5.7.705 Access denied, tenant has exceeded threshold",
    ],
)
def test_a_used_up_quota_with_a_5xx_code_means_that_the_provider_is_down(said: str, phase: str) -> None:
    assert judged(phase, said) is ProviderDown


@pytest.mark.parametrize(
    ("said", "too_many"),
    [
        ("421 4.7.0 mail.example.net Error: too many connections from 127.0.0.1", True),
        ("421 Too many concurrent SMTP connections; please try again later", True),
        ("554 Too many concurrent sessions", True),
        ("454 4.7.0 Too many login attempts, please try again later.", True),
        ("421 4.3.2 not now", False),
        ("421 4.7.0 try again later", False),
        ("421 Service not available", False),
        ("421 4.7.0 Too many failed login attempts", False),
        ("535 5.7.8 too many logins", False),
        ("554 no", False),
    ],
)
def test_a_refused_connection_is_throttling_only_if_its_text_names_our_rate(said: str, too_many: bool) -> None:
    reply = understood(said.encode())
    down = ProviderDown(reply.text, phase="greeting", reply_code=reply.code, enhanced_code=reply.enhanced_code)
    assert says_too_many(down) is too_many


def test_a_connection_without_an_answer_is_not_throttling() -> None:
    assert not says_too_many(ProviderDown("too many connections", phase="connect"))
