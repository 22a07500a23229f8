"""Judge a refusal: is it about the recipient or the mail, or about our account, our sender or our rate?

Providers overload their codes, so the text decides where the code does not: "550 5.4.5 Daily user sending
limit exceeded" in answer to RCPT says nothing of the recipient. What is about us is no reason to fail a
mail for good. About our account: the provider is down for us, and the breaker holds the mails until it takes
them again. About our rate: the mail is throttled, which means later and slower. About the connection it came
over: another connection may do; `concerns_this_mail` tells.
"""

from __future__ import annotations

import re

from actors.channels import Deferred, ProviderDown, Refused, Throttled, Undelivered
from actors.channels.email.answers import Reply
from actors.channels.email.throttling import (
    GREYLISTED,
    PER_CONNECTION,
    TOO_MANY_ERRORS,
    any_of,
    names_too_many,
    says_slow_down,
)

CLOSING = 421  # RFC 5321, 3.8
# Authentication required, too weak, not accepted, or only encrypted (RFC 4954).
_NO_ENTRY = (530, 534, 535, 538)
# Of the mail system as a whole (RFC 3463, 3.5); of accounts at Microsoft: limits, blocks, no login.
_ABOUT_ACCOUNT = frozenset(
    {"5.4.5", "5.1.90", "5.7.57", "5.7.501", "5.7.502", "5.7.503", "5.7.705", "5.7.708", "5.7.750"}
)
_ABOUT_SENDER = frozenset({"5.7.60"})
_ADDRESSES = re.compile(r"<[^<>]*>|\S+@\S+|https?://\S+|\[[\d.:a-f]+\]|\b[\w-]+(?:\.[\w-]+)+\b")

_THEIRS = any_of(  # limits of who gets it, and of what one mail may be
    *(r"mailbox|inbox|receiv|incoming|inbound|storage|disk|size|too (?:large|big)|\bfull\b|spam|score|content|virus",),
    *(
        r"recipient'?s? (?:has|is|quota|limit)",
        r"(?:the|this) recipient",
        r"trying to (?:reach|contact)|tried to reach",
    ),
)
_SENDING = any_of(
    r"\b(?:daily|hourly|monthly|per[- ](?:day|hour|minute|second))\b",
    r"\b(?:sends?|sending|sent|senders?|submission|outgoing|outbound|relay(?:ing)?|messaging|smtp)\b",
    r"\b(?:connections?|sessions?|logins?|rates?|rate-?limit)\b",
)
_LIMIT = any_of(r"limit|quota|allowance|threshold|\bmax(?:imum)?\b|\brates?\b")
_EXCEEDED = any_of(r"exceed|reach|\bover\b|\bhit\b|used up|exhaust|too (?:many|high|fast|much|often)|unusual")
_NO_MORE = any_of(
    r"throttl|rate-?limited|(?:concurrent|simultaneous) connections",
    r"\btoo (?:many|much) (?:login|auth|connection|session|concurrent|messages|e?mails|mail\b)",
)
_STOPPED = any_of(
    r"(?:sending|submission) (?:is |has been |was )?(?:paused|suspended|disabled|blocked|stopped)",
    r"your (?:smtp |sending |e?mail )?(?:account|access|subscription|plan|domain)\b.{0,30}\b"
    r"(?:paused|suspended|disabled|blocked|locked|deactivated|expired|terminated|restricted|not (?:been )?activ)",
    r"activate your|account (?:is )?under review|unauthori[sz]ed ip address|unusual sending activity",
    r"credits? (?:exceeded|exhausted|used)|(?:not enough|insufficient) credit",
)
_LOGIN = any_of(
    r"(?:authentication|authorization|auth|log-?in) (?:is )?(?:required|needed)|(?:requires?|need) (?:smtp )?auth",
    r"not authenticated|unauthenticated|not logged in|authenticate first|please (?:authenticate|log ?in)",
    r"must (?:first )?(?:authenticate|log ?in|issue a starttls)",
)
_PROOFS = any_of(r"\b(?:spf|dkim|dmarc)\b")  # of a sender's domain, which a login has nothing to do with
_SENDER = any_of(
    r"send ?as ?denied|(?:address|domain|sender|identit\w+)\b.{0,60}\bnot (?:been )?verified",
    r"unverified (?:sender|from|domain|address)|verified sender identity",
    r"(?:verify|add) (?:your|the) (?:sending |sender )?domain",
    r"not (?:allowed|authori[sz]ed|permitted) to (?:use the sender|send (?:from|as|mail as|on behalf))",
    r"sender address rejected: (?:not owned|domain not found|not logged in)|not owned by (?:user|auth)",
    r"(?:mail )?from (?:address )?(?:must|does not|doesn't) (?:be |match|equal)",
)
_TOO_LARGE = re.compile(r"quota|full|storage|space|size|large|big|mailbox")
# Replies about this mail, whichever connection it comes over.
_ABOUT_MAIL = any_of(
    r"\brecipient|mailbox|inbox|\b(?:user|account|alias|addressee)\b|\bquota|message size|too (?:large|big|long)",
    r"\brelay|\bspam|virus|malware|phish|\bcontent\b|attachment|\bheader|syntax|invalid address|bad address",
)
_ABOUT_CLIENT = any_of(r"\bclient\b|\byour (?:ip|host|server)|\bip address\b|\b(?:black|block|deny)-?list|\be?helo\b")
_SIZE_AND_SYNTAX = frozenset({"5.3.4", "5.5.2", "5.5.4", "4.3.4"})
_MAILBOX = (550, 551, 552, 553)  # RFC 5321, 4.2.2: not found, not here, exceeded storage, name not allowed
_SYNTAX = (500, 501, 504, 555)


def judge(phase: str, reply: Reply, blamed: type[Undelivered] = ProviderDown) -> type[Undelivered]:
    """Return what a 4xx or 5xx in a phase means. `blamed`: what a refusal of the mail's sender means.

    A sender that a client chose must not open the breaker for all the others: then it is Refused.
    """
    words = plain(reply.text)
    if ours := _about_us(phase, reply, words):
        return ours
    if reply.code >= 500 and (reply.enhanced_code in _ABOUT_SENDER or _SENDER.search(words)):
        return blamed
    if phase == "mail" and reply.code >= 500:
        return blamed
    # "Too many recipients" is 452, and was 552 once (RFC 5321, 4.5.3.1.10): the others cannot be sent it alone.
    if phase == "rcpt" and reply.code == 552 and not (_TOO_LARGE.search(words) or _is_about_recipient(reply)):
        return Deferred
    return Refused if reply.code >= 500 else Deferred


def concerns_this_mail(refusal: Undelivered) -> bool:
    """Return whether a refusal is about the recipient, the sender or the content.

    Such a refusal comes again over any connection. Others may be about the connection, which has carried
    many mails: 452, 451 or 554 without a reason, and all that `judge` takes for our account's or rate's.
    What was refused without a reply of the server is about the mail too.
    """
    phase, code, enhanced_code, text, _ = refusal.receipt
    if code is None:
        return True
    reply, words = Reply(code, enhanced_code, text), plain(text)
    if _about_us(phase, reply, words) or TOO_MANY_ERRORS.search(words):
        return False
    _, subject, _ = (reply.enhanced_code or "0.0.0").split(".")
    if subject in {"1", "2", "6"} or reply.enhanced_code in _SIZE_AND_SYNTAX or reply.code in _SYNTAX:
        return True
    if GREYLISTED.search(words) or (_ABOUT_MAIL.search(words) and reply.enhanced_code != "4.5.3"):
        return True
    if reply.code < 500 or phase == "mail":
        return False
    return (subject == "7" or reply.code in _MAILBOX) and not _ABOUT_CLIENT.search(words)


def concerns_us(phase: str, reply: Reply) -> bool:
    """Return whether a refusal is about our account or our rate, and not about one mail or its sender."""
    return _about_us(phase, reply, plain(reply.text)) is not None


def says_too_many(refusal: Undelivered) -> bool:
    """Return whether a reply says in words, and not by its code alone, that we send too much at once."""
    code, text = refusal.receipt.reply_code, plain(refusal.receipt.text)
    return code is not None and code not in _NO_ENTRY and names_too_many(text)


def _is_about_recipient(reply: Reply) -> bool:
    """Return whether the code is about the address, the mailbox or a policy (RFC 3463, 3.2, 3.3 and 3.8)."""
    return (reply.enhanced_code or "").startswith(("5.1.", "5.2.", "5.7."))


def plain(text: str) -> str:
    """Return the words of a reply, in lower case: no addresses, links, or names of hosts."""
    return " ".join(_ADDRESSES.sub(" ", text.lower()).split())


def _about_us(phase: str, reply: Reply, words: str) -> type[Undelivered] | None:
    """Return Throttled where a reply is about our rate, ProviderDown where it is about our account or for everybody."""
    if reply.code in _NO_ENTRY or reply.enhanced_code in _ABOUT_ACCOUNT or _is_stopped(words):
        return ProviderDown
    if says_slow_down(phase, reply, words):
        return Throttled
    if PER_CONNECTION.search(words) or reply.code == CLOSING:
        return ProviderDown
    if any(other.search(words) for other in (_THEIRS, TOO_MANY_ERRORS, GREYLISTED)):
        return None
    if all(said.search(words) for said in (_SENDING, _LIMIT, _EXCEEDED)):
        # "Not now" of a 4xx holds for any period: no mail has to fail for it.
        return Throttled if reply.code < 500 else ProviderDown
    return ProviderDown if _NO_MORE.search(words) else None


def _is_stopped(words: str) -> bool:
    """Return whether our account is paused, out of credit or not logged in."""
    return bool(_STOPPED.search(words) or (_LOGIN.search(words) and not _PROOFS.search(words)))
