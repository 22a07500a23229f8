"""Which refusals say that a mailbox is not there, and never will be: its address goes on the suppression list.

Only what the enhanced code (RFC 3463, and its IANA registry) says of the mailbox itself, in answer to
RCPT. A mistake costs somebody every mail from now on, a refusal too many costs one SMTP dialogue;
so in doubt it is no. Therefore not:
- a 5xx without an enhanced code: 550 stands for policy as well (RFC 5321, 4.2.3);
- 5.7.x, security and policy; 5.2.2 and 5.2.3, full or too large: they are of today or of this mail;
- 5.1.0, which servers use for senders too; 5.1.4, ambiguous; 5.1.7 to 5.1.9, about the sender or a relay;
- 5.1.2, no such domain: that is what a relay with a broken resolver says of every domain.
"""

from __future__ import annotations

from actors.channels import printable
from db.records import Attempt, Claimed
from mailboxes import on_the_wire

GONE = frozenset(
    {
        "5.1.1",  # bad destination mailbox address: there is none of that name
        "5.1.3",  # bad destination mailbox address syntax
        "5.1.6",  # the mailbox has moved, and nobody knows where to
        "5.1.10",  # the domain says that it takes no mail at all: null MX (RFC 7505)
        "5.2.1",  # mailbox disabled; 4.2.1 where it may be enabled again
    }
)


def is_gone(notification: Claimed, attempt: Attempt) -> bool:
    """Whether this attempt found out that the recipient's mailbox does not exist; the sandbox finds out nothing."""
    refused = attempt.outcome == "refused" and attempt.phase == "rcpt" and not notification.sandbox
    gone = refused and (attempt.reply_code or 0) // 100 == 5 and attempt.enhanced_code in GONE
    return gone and _is_about_recipient(notification, attempt.text or "")


def _is_about_recipient(notification: Claimed, text: str) -> bool:
    """Not about one of the copies: with several recipients an answer to RCPT begins with whom it is about."""
    mail = notification.mail or {}
    if not (mail.get("cc") or mail.get("bcc")):
        return True
    return text.startswith(printable(f"{on_the_wire(notification.recipient)}: "))
