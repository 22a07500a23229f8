"""Refusals that are about our account, our sender or our rate, and those that are not."""

from __future__ import annotations

import pytest

from actors.channels import Deferred, ProviderDown, Refused, Undelivered
from actors.channels.email.answers import understood
from actors.channels.email.refusals import judge

# In answer to anything.
ABOUT_US = """
550 5.4.5 Daily user sending limit exceeded. For more information on Gmail sending limits go to https://support.google.com/a/answer/166852 a1-gsmtp
550-5.4.5 Daily SMTP relay sending limit exceeded for customer. For more information on SMTP relay sending limits please contact 550 5.4.5 your administrator.
550 5.4.5 Daily sending quota exceeded - gsmtp
554 Sending paused for this account. For more information, please check the inbox of the email address associated with your AWS account.
554 Message rejected: Sending suspended for this account.
550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients
550 5.7.501 Access denied, spam abuse detected
550 5.7.705 Access denied, tenant has exceeded threshold
550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP
550 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM
530 5.7.57 Client not authenticated to send mail
530 5.7.0 Must issue a STARTTLS command first
530 5.7.0 Authentication required
535 5.7.8 Error: authentication failed
534 5.7.9 Application-specific password required
538 5.7.11 Encryption required for requested authentication mechanism
550 5.7.1 Authentication required
553 5.7.1 authentication is required to send mail
550 Unauthenticated senders not allowed
550 5.4.6 Unusual sending activity detected. Please try after sometime
550 Domain shop.example has exceeded the max emails per hour (250/250 (100%)) allowed. Message discarded.
550 Domain shop.example has exceeded the max defers and failures per hour (5/5 (100%)) allowed. Message discarded.
451 Authentication failed: Maximum credits exceeded
550 Exceed sending limit, please retry tomorrow
550 5.7.1 You have reached your hourly sending limit
554 5.7.1 Number of messages per hour exceeded: sender limit is 100
502 5.7.0 Please activate your SMTP account first
525 5.7.1 Unauthorized IP address
550 5.7.0 Your account has been suspended, contact support
421 Service not available, closing transmission channel
421 4.3.2 Service not available, closing transmission channel
421 4.3.2 Service shutting down
421 4.3.0 the system is going down for maintenance
421 4.4.2 Timeout while waiting for command
421 4.7.0 mail.example.net Error: too many errors
421 4.7.0 Too many errors on this connection, closing transmission channel
421 mail.example.net: too many messages in this connection
450 4.7.1 Too many messages received on this connection
550 You have sent too many messages in this session
""".strip().splitlines()  # noqa: E501
# The provider's trouble where the sender is ours; Refused where a client chose it.
ABOUT_SENDER = """
554 Message rejected: Email address is not verified. The following identities failed the check in region EU-WEST-1: noreply@example.com
550 5.7.60 SMTP; Client does not have permissions to send as this sender
554 5.2.252 SendAsDenied; shop@example.com not allowed to send as noreply@example.com
553 5.7.1 <noreply@example.com>: Sender address rejected: not owned by user shop
550 The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved.
550 5.7.1 Sender domain example.com is not verified
550 You are not authorized to send from that email address
501 mail from address must be same as authorization user
550 5.7.1 <noreply@example.com>: Sender address rejected: Domain not found
""".strip().splitlines()  # noqa: E501
ABOUT_THEM = """
550 5.1.1 <ann@example.com>: Recipient address rejected: User unknown in local recipient table
550-5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered.
450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered.
552 5.2.2 The email account that you tried to reach is over quota
452 4.2.2 The email account that you tried to reach is over quota
452 4.2.2 Mailbox full
550 5.2.2 user quota exceeded
552 5.2.3 Message size exceeds fixed limit
552 5.3.4 Message size exceeds maximum message size
554 5.2.122 The recipient has exceeded their limit for the number of messages they can receive per hour.
554 5.7.1 Message rejected: spam score exceeds threshold for this sender
450 4.7.1 Ratelimit exceeded for mailbox ann@mail.example. Try again later.
451 4.7.1 Greylisting in action, please come back later
550 5.7.26 Unauthenticated email from example.com is not accepted due to domain's DMARC policy.
550-5.7.26 This mail has been blocked because the sender is unauthenticated. Gmail requires all senders to authenticate with either SPF or DKIM.
554 5.7.1 <ann@example.com>: Relay access denied
550 5.2.1 The email account that you tried to reach is disabled
550 Rejected by header based manually Blocked Senders
554 5.6.0 virus found
""".strip().splitlines()  # noqa: E501


def judged(phase: str, said: str, blamed: type[Undelivered] = ProviderDown) -> type[Undelivered]:
    return judge(phase, understood(said.encode()), blamed)


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "content"])
@pytest.mark.parametrize("said", ABOUT_US)
def test_a_reply_about_our_account_means_that_the_provider_is_down(said: str, phase: str) -> None:
    assert judged(phase, said) is ProviderDown
    assert judged(phase, said, Refused) is ProviderDown


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "content"])
@pytest.mark.parametrize("said", ABOUT_SENDER)
def test_a_reply_about_a_sender_that_no_client_chose_means_that_the_provider_is_down(said: str, phase: str) -> None:
    assert judged(phase, said) is ProviderDown
    assert judged(phase, said, Refused) is Refused


@pytest.mark.parametrize("phase", ["rcpt", "data", "content"])
@pytest.mark.parametrize("said", ABOUT_THEM)
def test_a_reply_about_the_recipient_or_the_mail_opens_no_breaker(said: str, phase: str) -> None:
    assert judged(phase, said) is (Refused if said[0] == "5" else Deferred)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("552 too many recipients", Deferred),
        ("552 5.5.3 Too many recipients", Deferred),
        ("552 5.5.3 recipients limit reached", Deferred),
        ("552 requested action aborted", Deferred),
        ("552 5.2.2 over quota", Refused),
        ("552 5.1.1 user unknown", Refused),
        ("552 5.7.0 not allowed", Refused),
        ("552 5.2.2 no", Refused),
        ("552 mailbox full", Refused),
        ("552 exceeded storage allocation", Refused),
        ("552 5.3.4 message size exceeds limit", Refused),
        ("554 too many recipients", Refused),
    ],
)
def test_552_at_rcpt_means_too_many_recipients_unless_it_names_storage(said: str, error: type[Undelivered]) -> None:
    assert judged("rcpt", said) is error
    assert judged("content", said) is Refused
