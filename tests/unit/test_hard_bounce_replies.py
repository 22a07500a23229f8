"""Real replies of servers to RCPT, and whether they mean that the mailbox is gone for good.

The replies are those of Postfix, Exim, sendmail, qmail, Exchange and of large mailbox providers and filters; the
addresses and hosts in them are examples.
"""

from __future__ import annotations

import pytest

from actors.channels import Receipt, Refused
from actors.channels.email.answers import understood
from actors.channels.email.hard_bounce import is_hard_bounce
from actors.channels.email.refusals import judge
from tests.integration.mailing import notification

HELP = "https://support.google.com/mail/?p"
GONE = f"""
550-5.1.1 The email account that you tried to reach does not exist. Please try 550-5.1.1 double-checking the recipient's email address for typos or 550 5.1.1 unnecessary spaces. Learn more at {HELP}=NoSuchUser a1-gsmtp
550-5.2.1 The email account that you tried to reach is disabled. Learn more at 550 5.2.1 {HELP}=DisabledUser a1-gsmtp
550-5.2.1 The email account that you tried to reach is inactive. 550 5.2.1 {HELP}=DisabledUser a1-gsmtp
553-5.1.3 The recipient address <a@b..example> is not a valid RFC-5321 address. {HELP}=BadRcpt
550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient ann@example.com not found by SMTP address lookup
550 5.1.1 RESOLVER.ADR.ExRecipNotFound; not found
550 5.1.1 User unknown
550 5.1.1 <ann@example.com>: Recipient address rejected: User unknown in local recipient table
550 5.1.1 <ann@example.com>: Recipient address rejected: User unknown in virtual mailbox table
550 5.1.1 <ann@example.com>: Recipient address rejected: User unknown in relay recipient table
550 5.1.1 <ann@example.com>: Recipient address rejected: undeliverable address: host mx.example.net[192.0.2.7] said: 550 5.1.1 <ann@example.com> User doesn't exist (in reply to RCPT TO command)
550 5.1.1 <ann@example.com>... User unknown
550 5.1.1 <ann@example.com> User doesn't exist: ann@example.com
550 5.1.1 <ann@icloud.example>: user does not exist
550 5.1.1 <ann@icloud.example>: inactive email address
550 5.1.1 unknown or illegal alias: ann@example.com
550 5.1.1 No such user here
550 5.1.1 ann@example.com: no such recipient here
550 5.1.1 User does not exist - <ann@zoho.example>
550 5.1.1 Invalid recipient: ann@example.com
550 5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient. OFR_416 [416]
550 5.1.1 sorry, no mailbox here by that name
550 5.1.1 The email address you entered couldn't be found. Please check the recipient's email address
550 5.1.1 Message was not accepted -- invalid mailbox. Local mailbox ann@mail.example is unavailable: user not found
550 5.1.1 Mailbox not found
550 5.1.1 Not our Customer
550 5.1.1 Addressee unknown, relay=[192.0.2.1]
550 5.1.1 ann@example.com is not a valid mailbox
550 5.1.1 <ann@example.com> recipient does not exist here
550 5.1.1 This user doesn't have a yahoo.example account (ann@yahoo.example)
550 5.1.1 Empfänger unbekannt
550 5.1.1 收件人不存在
550 5.1.1 Benutzer existiert nicht
550 5.1.1 Postfach nicht vorhanden
550 5.1.1 Utilisateur inconnu
550 5.1.1 El usuario no existe
550 5.1.1 Destinatário inexistente
550 5.1.1 Utente sconosciuto
550 5.1.1 Użytkownik nie istnieje
550 5.1.1 Gebruiker onbekend
550 5.1.1 Okänd användare
550 5.1.1 Пользователь не найден
550 5.1.1 Нет такого пользователя
550 5.1.1 用户不存在
550 5.1.1 宛先不明
550 5.1.1 ユーザーが見つかりません
552 5.1.1 User unknown
550 5.1.1 Requested action not taken: mailbox unavailable
550 5.1.1 bad destination mailbox address
550 5.1.1 user no longer on server: ann@example.com
550 5.1.1 This account has been disabled or discontinued
550 5.2.1 Mailbox disabled, not accepting messages
550 5.2.1 <ann@example.com>... This account has been closed
550 5.1.6 recipient no longer on server: ann@example.com
550 5.1.6 The mailbox has moved, no forwarding address
556 5.1.10 <ann@example.com>: Recipient address rejected: Domain example.com does not accept mail (nullMX)
501 5.1.3 Bad recipient address syntax
550 5.1.1
550 5.1.1 <ann@example.com>
""".strip().splitlines()  # noqa: E501
LIVE = f"""
550-5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered. For more information, please visit 550 5.2.1 {HELP}=ReceivingRatePerm a1-gsmtp
550-5.2.1 The user you are trying to contact is receiving mail too quickly. Please resend your message at a later time. {HELP}=ReceivingRate
550 5.2.1
550 5.2.1 Mailbox unavailable
550 5.2.1 mailbox cannot be accessed
550 5.2.1 This account is temporarily disabled
550 5.2.1 Mailbox for ann@example.com is over quota
550 5.2.1 account suspended
554 5.2.122 The recipient has exceeded their limit for the number of messages they can receive per hour.
550 5.2.121 Recipient's per hour message receive limit from specific sender exceeded
552 5.2.2 The email account that you tried to reach is over quota
550 5.1.1 Mailbox full
550 5.1.1 user is over the quota, try later
550 5.1.1 <ann@example.com>: Recipient address rejected: Access denied
550 5.1.1 <ann@example.com>: Recipient address rejected: aol.example
550 5.1.1 <noreply@example.com>: Sender address rejected: User unknown in local recipient table
550 5.1.1 Sender rejected
550 5.1.1 sender verify failed
550 5.1.1 Sender unknown
550 5.1.1 Callout verification failed: 550 no such user
550 5.1.1 Recipient verification failed
550 5.1.1 Unable to verify recipient
550 5.1.1 <ann@example.com>: Recipient address rejected: unverified address: connect to mx.example.net[192.0.2.7]:25: Connection timed out
550 5.1.1 <ann@example.com>: Recipient address rejected: undeliverable address: host mx.example.net[192.0.2.7] said: 554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org (in reply to RCPT TO command)
550 5.1.1 Service unavailable; client host blocked using bl.example.net
550 5.1.1 Your message was considered spam and rejected; user unknown
550 5.1.1 Message rejected due to policy restrictions
550 5.1.1 ann@example.com: user unknown (temporarily)
550 5.1.1 Greylisted, please try again in 300 seconds
550 5.1.1 Too many invalid recipients
550 5.1.1 Excessive unknown recipients - possible open relay
550 5.1.1 recipient does not accept mail from you
550 5.1.1 SPF check failed: mail from example.com is not permitted
550 5.1.1 Rejected by DMARC policy
550 5.1.1 Relaying denied
550 5.1.1 domain does not exist
550 5.1.1 unknown host
550 5.1.1 Absender unbekannt
550 5.1.1 Domain unbekannt
550 5.1.1 Domäne des Empfängers unbekannt
550 5.1.1 Empfänger unbekannt: Ihre IP ist gesperrt
550 5.1.1 expéditeur inconnu
550 5.1.1 le domaine du destinataire n'existe pas
550 5.1.1 Hôte inconnu
550 5.1.1 Remitente desconocido
550 5.1.1 el dominio no existe
550 5.1.1 remetente não existe
550 5.1.1 mittente sconosciuto
550 5.1.1 Dominio inesistente
550 5.1.1 nadawca nie istnieje
550 5.1.1 afzender bestaat niet
550 5.1.1 Отправитель не найден
550 5.1.1 домен не существует
550 5.1.1 发件人不存在
550 5.1.1 域名不存在
550 5.1.1 差出人が存在しません
550 5.1.1 ドメインが存在しません
550 5.1.1 用户邮箱已满
550 5.1.1 Boîte du destinataire archivée
550 5.1.1 Mailbox unavailable or access denied
550 5.1.1 User unknown; rejecting because your IP is on our denylist
550 5.1.1 User lookup failed: directory server error
550 5.1.1 catch-all address cannot be verified
550 5.1.1 This group is restricted to its members
550 5.1.1 rejected
550 5.1.0 Address rejected
550 #5.1.0 Address rejected.
550 5.1.0 <noreply@example.com> sender rejected
550 5.1.2 Host unknown
550 5.1.8 Access denied, bad outbound sender
550 5.3.0 <ann@example.com>... Mail server for "example.com" unable to accept mail
550 5.4.1 Recipient address rejected: Access denied. [AS(201806281)] ann@example.com
550 5.4.5 Daily user sending limit exceeded. For more information on Gmail sending limits go to {HELP}=limits
550 5.4.6 Unusual sending activity detected. Please try after sometime
550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302). [example.prod.protection.outlook.com]
550 5.5.1 Recipient rejected
550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150).
550 5.7.1 Service unavailable, Client host [192.0.2.1] blocked using Spamhaus
550 5.7.1 <ann@example.com>: Relay access denied
550-5.7.26 This mail has been blocked because the sender is unauthenticated. Gmail requires all senders to authenticate with either SPF or DKIM.
550 5.7.0 Local Policy Violation
550 5.7.520 Access denied, Your organization does not allow external forwarding
550 5.7.606 Access denied, banned sending IP [192.0.2.1]
553 5.7.1 <noreply@example.com>: Sender address rejected: not owned by user shop
554 5.7.9 Message not accepted for policy reasons. See https://postmaster.yahooinc.example/error-codes
554 delivery error: dd This user doesn't have a yahoo.example account (ann@yahoo.example) [0]
550 Requested action not taken: mailbox unavailable
550 Unknown user ann@docomo.example
550 Mailbox not found. http://service.mail.qq.example/cgi-bin/help?subtype=1&id=20022&no=1000728
550 The recipient may contain a non-existent account, please check the recipient address.
550 User not found: ann@163.example
550 Invalid Recipient - https://community.mimecast.example/docs/DOC-1369#550
550 csi.mimecast.example Poor Reputation Sender. - https://community.mimecast.example/docs/DOC-1369#550
550 permanent failure for one or more recipients (ann@example.com:blocked)
550 sorry, no mailbox here by that name (#5.1.1)
550 Verification failed for <noreply@example.com>
550 Callback setup failed while verifying <noreply@example.com>
550-Unrouteable address
450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered.
450 4.1.1 <ann@example.com>: Recipient address rejected: unverified address
451 4.7.1 Greylisting in action, please come back later
452 4.2.2 The email account that you tried to reach is over quota
""".strip().splitlines()  # noqa: E501


def gone(said: str) -> bool:
    """Return whether this reply to RCPT puts the recipient on the suppression list."""
    reply = understood(said.encode() + b"\r\n")
    return judge("rcpt", reply) is Refused and is_hard_bounce(notification(), Receipt("rcpt", *reply))


@pytest.mark.parametrize("said", GONE)
def test_a_reply_that_a_mailbox_does_not_exist_is_a_hard_bounce(said: str) -> None:
    assert gone(said)


@pytest.mark.parametrize("said", LIVE)
def test_a_reply_about_a_mailbox_that_may_exist_is_no_hard_bounce(said: str) -> None:
    assert not gone(said)


@pytest.mark.parametrize("mailbox", ["spam@block.example", "rate-limit@quota.example", "sender@full.example"])
def test_text_within_an_address_does_not_decide_about_a_hard_bounce(mailbox: str) -> None:
    assert gone(f"550 5.1.1 <{mailbox}>: Recipient address rejected: User unknown")
    assert not gone("550 5.1.1 <no-such-user@unknown.example>: rejected")


def test_the_table_has_enough_replies_of_both_kinds() -> None:
    assert len(GONE) >= 40
    assert len(LIVE) >= 60
