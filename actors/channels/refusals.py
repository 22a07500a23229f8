"""Judge a refusal: is it about the recipient or the mail, or about our account, our sender or our rate?

Providers overload their codes, so the text decides where the code does not: "550 5.4.5 Daily user sending
limit exceeded" in answer to RCPT says nothing of the recipient. What is about us is no reason to fail a
mail for good: the provider is down for us, and the breaker holds the mails until it takes them again.
"""

from __future__ import annotations

import re

from actors.channels import Deferred, ProviderDown, Refused, Undelivered
from actors.channels.answers import Reply

# Closing; authentication required, too weak, not accepted, or only encrypted (RFC 5321, RFC 4954).
_AWAY = (421, 530, 534, 535, 538)
# Of the mail system as a whole (RFC 3463, 3.5); of accounts at Microsoft: limits, blocks, no login.
_ABOUT_ACCOUNT = frozenset(
    {"5.4.5", "5.1.90", "5.7.57", "5.7.501", "5.7.502", "5.7.503", "5.7.705", "5.7.708", "5.7.750"}
)
_ABOUT_SENDER = frozenset({"5.7.60"})
_ADDRESSES = re.compile(r"<[^<>]*>|\S+@\S+|https?://\S+|\[[\d.:a-f]+\]|\b[\w-]+(?:\.[\w-]+)+\b")


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


_THEIRS = _any(  # limits of who gets it, and of what one mail may be
    *(r"mailbox|inbox|receiv|incoming|inbound|storage|disk|size|too (?:large|big)|\bfull\b|spam|score|content|virus",),
    *(
        r"recipient'?s? (?:has|is|quota|limit)",
        r"(?:the|this) recipient",
        r"trying to (?:reach|contact)|tried to reach",
    ),
)
_SENDING = _any(
    r"\b(?:daily|hourly|monthly|per[- ](?:day|hour|minute|second))\b",
    r"\b(?:sends?|sending|sent|senders?|submission|outgoing|outbound|relay(?:ing)?|messaging|smtp)\b",
    r"\b(?:connections?|sessions?|logins?|rates?|rate-?limit)\b",
)
_LIMIT = _any(r"limit|quota|allowance|threshold|\bmax(?:imum)?\b|\brates?\b")
_EXCEEDED = _any(r"exceed|reach|\bover\b|\bhit\b|used up|exhaust|too (?:many|high|fast|much|often)|unusual")
_NO_MORE = _any(
    r"throttl|rate-?limited|(?:concurrent|simultaneous) connections",
    r"\btoo (?:many|much) (?:login|auth|connection|session|concurrent|messages|e?mails|mail\b)",
)
_STOPPED = _any(
    r"(?:sending|submission) (?:is |has been |was )?(?:paused|suspended|disabled|blocked|stopped)",
    r"your (?:smtp |sending |e?mail )?(?:account|access|subscription|plan|domain)\b.{0,30}\b"
    r"(?:paused|suspended|disabled|blocked|locked|deactivated|expired|terminated|restricted|not (?:been )?activ)",
    r"activate your|account (?:is )?under review|unauthori[sz]ed ip address|unusual sending activity",
    r"credits? (?:exceeded|exhausted|used)|(?:not enough|insufficient) credit",
)
_LOGIN = _any(
    r"(?:authentication|authorization|auth|log-?in) (?:is )?(?:required|needed)|(?:requires?|need) (?:smtp )?auth",
    r"not authenticated|unauthenticated|not logged in|authenticate first|please (?:authenticate|log ?in)",
    r"must (?:first )?(?:authenticate|log ?in|issue a starttls)",
)
_PROOFS = _any(r"\b(?:spf|dkim|dmarc)\b")  # of a sender's domain, which a login has nothing to do with
_SENDER = _any(
    r"send ?as ?denied|(?:address|domain|sender|identit\w+)\b.{0,60}\bnot (?:been )?verified",
    r"unverified (?:sender|from|domain|address)|verified sender identity",
    r"(?:verify|add) (?:your|the) (?:sending |sender )?domain",
    r"not (?:allowed|authori[sz]ed|permitted) to (?:use the sender|send (?:from|as|mail as|on behalf))",
    r"sender address rejected: (?:not owned|domain not found|not logged in)|not owned by (?:user|auth)",
    r"(?:mail )?from (?:address )?(?:must|does not|doesn't) (?:be |match|equal)",
)
_TOO_LARGE = re.compile(r"quota|full|storage|space|size|large|big|mailbox")


def judge(phase: str, reply: Reply, blamed: type[Undelivered] = ProviderDown) -> type[Undelivered]:
    """Return what a 4xx or 5xx in a phase means. `blamed`: what a refusal of the mail's sender means.

    A sender that a client chose must not open the breaker for all the others: then it is Refused.
    """
    words = plain(reply.text)
    if reply.code in _AWAY or _is_about_us(reply, words):
        return ProviderDown
    if reply.code >= 500 and (reply.enhanced_code in _ABOUT_SENDER or _SENDER.search(words)):
        return blamed
    if phase == "mail" and reply.code >= 500:
        return blamed
    # "Too many recipients" is 452, and was 552 once (RFC 5321, 4.5.3.1.10): the others cannot be sent it alone.
    if phase == "rcpt" and reply.code == 552 and not (_TOO_LARGE.search(words) or _is_about_recipient(reply)):
        return Deferred
    return Refused if reply.code >= 500 else Deferred


def _is_about_recipient(reply: Reply) -> bool:
    """Return whether the code is about the address, the mailbox or a policy (RFC 3463, 3.2, 3.3 and 3.8)."""
    return (reply.enhanced_code or "").startswith(("5.1.", "5.2.", "5.7."))


def plain(text: str) -> str:
    """Return the words of a reply, in lower case: no addresses, links, or names of hosts."""
    return " ".join(_ADDRESSES.sub(" ", text.lower()).split())


def _is_about_us(reply: Reply, words: str) -> bool:
    if reply.enhanced_code in _ABOUT_ACCOUNT:
        return True
    if _STOPPED.search(words) or (_LOGIN.search(words) and not _PROOFS.search(words)):
        return True
    if _THEIRS.search(words):
        return False
    limited = _SENDING.search(words) and _LIMIT.search(words) and _EXCEEDED.search(words)
    return bool(limited or _NO_MORE.search(words))


def concerns_this_mail(refusal: Undelivered) -> bool:
    return True
