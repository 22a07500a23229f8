"""Reports about mails as mail systems write them, for the tests."""

from __future__ import annotations

DSN = """\
From: Mail Delivery System <MAILER-DAEMON@mx.example.net>
To: {to}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="limit"

--limit
Content-Type: text/plain; charset=us-ascii

I am sorry.

--limit
Content-Type: {kind}
{encoding}
Reporting-MTA: dns; mx.example.net
{envelope_id}
{groups}
--limit
Content-Type: message/rfc822

From: shop@example.com
To: ann@example.com
Message-ID: {message_id}
Subject: Hi

Hello
--limit--
"""

ARF = """\
From: feedback@provider.example
To: {to}
Subject: FW: Hi
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="limit"

--limit
Content-Type: text/plain; charset=us-ascii

This is an email abuse report.

--limit
Content-Type: message/feedback-report

Feedback-Type: {type}
User-Agent: Provider/1.0
Version: 1
{fields}
Arrival-Date: Thu, 08 Mar 2027 14:00:00 +0200

--limit
Content-Type: message/rfc822

From: shop@example.com
Message-ID: <1@example.com>

Hello
--limit--
"""


def group(recipient: str = "ann@example.com", action: str = "failed", status: str = "5.1.1", said: str = "") -> str:
    """Return the fields of one recipient."""
    lines = [f"Final-Recipient: rfc822; {recipient}", f"Action: {action}", f"Status: {status}"]
    return "\n".join([*lines, *([f"Diagnostic-Code: smtp; {said}"] if said else []), "", ""])


def dsn(
    *groups: str,
    to: str = "shop@example.com",
    envelope_id: str = "",
    kind: str = "message/delivery-status",
    message_id: str = "<1@example.com>",
    encoding: str = "",
) -> bytes:
    """Return a delivery status notification with these groups of fields."""
    id = f"Original-Envelope-Id: {envelope_id}\n" if envelope_id else ""
    shown = {"to": to, "kind": kind, "envelope_id": id, "message_id": message_id}
    header = f"Content-Transfer-Encoding: {encoding}\n" if encoding else ""
    return DSN.format(**shown, encoding=header, groups="\n".join(groups or [group()])).encode()


def arf(type: str = "abuse", to: str = "fbl@example.com", *fields: str) -> bytes:
    """Return a feedback report."""
    return ARF.format(type=type, to=to, fields="\n".join(fields)).replace("\n\nArrival", "\nArrival").encode()
