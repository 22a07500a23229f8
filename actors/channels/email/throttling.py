"""Recognise a reply that asks us to send less: fewer connections, fewer mails at once, fewer a second.

The words decide first, because codes are overloaded: greylists and limits of one recipient's mailbox use the
codes of rate limits. The code decides where the words say nothing.
"""

from __future__ import annotations

import re

from actors.channels.email.answers import Reply


def any_of(*patterns: str) -> re.Pattern[str]:
    """Return one pattern that matches where any of these does."""
    return re.compile("|".join(patterns))


# RFC 3463, of a 4xx: the system takes no messages now, it is congested, and "other security status", which Postfix,
# Exchange, Gmail and Yahoo give with "try again later".
_CODES = ("4.3.2", "4.4.5", "4.7.0")
_OF_PROVIDERS = frozenset({"4.7.28", *(f"4.7.{number}" for number in range(500, 700))})  # Gmail; Microsoft
_CLOSING = 421  # RFC 5321, 3.8
_CONCURRENCY = 432  # Microsoft's limits of threads and connections
# "Too many recipients" (RFC 5321, 4.5.3.1.10). Where all of them were accepted, it means something else.
TOO_MANY_RECIPIENTS = "4.5.3"
# Where such a code without words is about something else: TLS or the login does not work at the moment; or it is about
# this recipient, and the recipients of one client must not slow down the mails of all.
_ELSEWHERE = ("starttls", "auth", "rcpt")

_WHAT = r"(?:messages|e?-?mails?|mail\b|deliver\w+|transactions|recipients)"
PER_CONNECTION = any_of(  # a connection has taken what it takes; a new one takes more
    r"\b(?:in|on|over|for|during|of) (?:this|each|every|one|an?|the(?: same)?) (?:\w+ )?(?:connection|session)\b",
    r"\bper[- ](?:\w+[- ])?(?:connection|session)\b|\bbatch limit",
    r"\b(?:connection|session) (?:message|mail|transaction) (?:limit|count)",
)
TOO_MANY_ERRORS = any_of(
    r"\btoo (?:many|much) (?:(?!connections|sessions|from)\w+ ){0,3}(?:errors?|fail\w+|unknown|invalid)",
    r"\btoo (?:many|much) (?:bad|syntax|junk|unrecogni[sz]ed)",
)
_AT_ONCE = any_of(
    r"\b(?:too many|max\w*|limit\w*|number|rate|count)(?: number)?(?: of| for| on)?(?: \w+){0,3} connections?\b",
    r"\b(?:too many|max\w*|limit\w*|number|rate|count)(?: number)?(?: of| for| on)?(?: \w+){0,3} sessions?\b",
    r"\b(?:concurrent|simultaneous|parallel) (?:\w+ )?(?:connections?|sessions?|deliver\w+|messages)\b",
    r"\b(?:connections?|sessions?) (?:\w+ ){0,3}(?:limit|rate|exceed\w*|reached|too (?:many|high|fast|often))",
    r"\bconcurrency limit|\bsender thread limit|trop de connexions|\bslow down\b",
    r"\btoo (?:many|much) (?:\w+ )?(?:log-?ins?|auth|requests|commands)",
    rf"\btoo (?:many|much) (?:\w+ )?{_WHAT} (?:from|sent|at once|per second|per minute|received from)",
    rf"{_WHAT} per (?:second|minute)\b|\brate of (?:unsolicited|connections|messages|e?-?mail)|unexpected volume",
    r"\bthrottl|\brate-? ?limited\b|\brate-? ?limit\w* (?:\w+ ){0,2}(?:exceed|reach)",
    r"\bexceed\w* (?:\w+ ){0,3}rate-? ?limit|\bsend\w* (?:mail |messages )?too (?:fast|quickly)",
    r"\b(?:mail|message|submission|sending|sender|connection) rate\b.{0,40}exceed",
)
_BUSY = any_of(
    r"\b(?:too|very|is|server|system|ports are) busy\b|\bload (?:average )?(?:is )?too high|\b(?:high|too much) load\b",
    r"\boverload|\bcongest|back-?pressure|insufficient (?:system )?resources|resource limitations|out of resources",
)
_RATE = any_of(r"\brates?\b|\brate-?limit")
# In a 4xx these are enough.
_WEAK = any_of(_RATE.pattern, r"\bvolume\b|\btoo fast\b", rf"\btoo (?:many|much) (?!recipients){_WHAT}", _BUSY.pattern)
GREYLISTED = any_of(r"gr[ea]y-? ?list|\btriplet\b|\bfirst time\b|postgrey|sqlgrey")
_OF_RECIPIENT = any_of(
    r"receiv\w+ (?:e?-?mail|messages|too)|\brecipient'?s? (?:thread|rate|has|is|quota|limit|mailbox|server|domain)",
    r"\b(?:for|of|to) (?:this|the|that) (?:recipient|mailbox|user|destination)|mailbox database",
    r"\bfor (?:recipient|mailbox|user)\b",
    r"\b(?:user|recipient|account|person|mailbox)s? (?:that )?you (?:are|were|tried)|trying to (?:reach|contact)",
)
_OF_CONTENT = any_of(r"\bspam|virus|\bcontent\b|suspicious|mailbox|too (?:large|big)|\bspf\b|\bdkim\b|\bdmarc\b")
_GOING_DOWN = any_of(r"shut(?:ting)?[- ]?down|going down|maintenance|restart|\bclosing\b|not available")


def says_slow_down(phase: str, reply: Reply, words: str) -> bool:
    """Return whether this 4xx or 5xx is about how much we send. `words`: the reply without addresses, in lower case."""
    if _is_another_matter(words):
        return False
    if _AT_ONCE.search(words):
        return True
    if reply.code >= 500 or _OF_CONTENT.search(words):
        return False
    if reply.enhanced_code == TOO_MANY_RECIPIENTS:
        return phase == "content"
    return bool(_WEAK.search(words)) or (phase not in _ELSEWHERE and _has_code(reply, words))


def names_too_many(words: str) -> bool:
    """Return whether the words alone say that we send too much at once."""
    return bool(_AT_ONCE.search(words)) and not _is_another_matter(words)


# What 4.7.x is also used for: the proofs of a sender's domain, names of hosts, encryption.
_PROOFS = any_of(r"\b(?:spf|dkim|dmarc|arc|dns|ptr|rdns|tls|reverse|resolve|lookup|auth\w*|verif\w+)\b")


def speaks_of_another_matter(words: str) -> bool:
    """Return whether the words of a 4xx say that it is about a recipient, the content, greylisting or a proof."""
    return _is_another_matter(words) or bool(_OF_CONTENT.search(words) or _PROOFS.search(words))


def _is_another_matter(words: str) -> bool:
    if any(other.search(words) for other in (TOO_MANY_ERRORS, GREYLISTED, _OF_RECIPIENT)):
        return True
    return bool(PER_CONNECTION.search(words) and not _RATE.search(words))


def _has_code(reply: Reply, words: str) -> bool:
    code = reply.enhanced_code or ""
    if reply.code == _CLOSING and code.endswith(".3.2") and _GOING_DOWN.search(words):
        return False
    return reply.code == _CONCURRENCY or f"4{code[1:]}" in _CODES or code in _OF_PROVIDERS
