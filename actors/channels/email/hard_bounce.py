"""Which refusals say that a mailbox is not there, and never will be: its address goes on the suppression list.

Only in answer to RCPT, only where the enhanced code (RFC 3463, and its IANA registry) is about the mailbox
itself, and only where the words agree with the code. Providers overload their codes: Gmail says 5.2.1 of a
mailbox that gets much mail, others say 5.1.1 of a sender, a blocklist or a full mailbox. A mistake costs
somebody every mail from now on, a refusal too many costs one SMTP dialogue; so in doubt it is no. Therefore not:
- a 5xx without an enhanced code: 550 stands for policy as well (RFC 5321, 4.2.3);
- 5.7.x, security and policy; 5.2.2 and 5.2.3, full or too large: they are of today or of this mail;
- 5.1.0, which servers use for senders too; 5.1.4, ambiguous; 5.1.7 to 5.1.9, about the sender or a relay;
- 5.1.2, no such domain: that is what a relay with a broken resolver says of every domain.
"""

from __future__ import annotations

import re

from actors.channels import printable
from actors.channels.email.mailboxes import on_the_wire
from actors.channels.email.refusals import plain
from db.records import Attempt, Claimed

GONE = frozenset(
    {
        "5.1.1",  # bad destination mailbox address: there is none of that name
        "5.1.3",  # bad destination mailbox address syntax
        "5.1.6",  # the mailbox has moved, and nobody knows where to
        "5.1.10",  # the domain says that it takes no mail at all: null MX (RFC 7505)
        "5.2.1",  # mailbox disabled; 4.2.1 where it may be enabled again
    }
)
_WHO = r"\b(?:user|recipient|mailbox|account|address|addressee|alias|person|customer|e-?mail)s?\b"
_GONE = (
    r"\b(?:unknown|not (?:be )?(?:found|known|valid|active|here|present)|non-?exist\w*|(?:no longer|not) exists?"
    r"|does(?:n'?t| not) exist|in(?:valid|active)|no longer|moved|disabled|deactivated|closed|terminated|deleted"
    r"|removed|discontinued|expired)\b"
)
# The same in German, French, Spanish, Portuguese, Italian, Polish, Dutch, Swedish, Russian, Chinese and Japanese.
_WHO_ABROAD = (
    r"empfänger|nutzer|postfach|konto|adress|destinat|utilisateur|bo[iî]te|usu[aá]rio|buz[oó]n|cuenta|conta\b|utente"
    r"|casella|użytkownik|odbiorc|adresat|skrzynk|gebruiker|ontvanger|användare|mottagare|пользовател|получател|адрес"
    r"|ящик|用户|收件|邮箱|信箱|[帐账][号户]|宛先|ユーザ|受信者|メールボックス|アカウント|user|recipient|mailbox|account"
)
_GONE_ABROAD = (
    r"unbekannt|existiert nicht|nicht (?:vorhanden|gefunden)|inconnu|n.?existe|invalide|desconocid|desconhecid"
    r"|n[oã]o? existe|inexistent|sconosciut|inesistente|nie istnieje|nieznan|bestaat niet|onbekend|okänd|finns inte"
    r"|не существует|не найден|нет такого|不存在|不明|存在しません|見つかりません"
)
_AGREES = re.compile(
    "|".join(
        (
            rf"{_WHO}.{{0,60}}{_GONE}",
            rf"\b(?:unknown|invalid|bad|illegal|non-?existent|inactive|no such|no) (?:\w+ ){{0,3}}{_WHO}",
            r"\bno such\b|\bnobody\b|\bno ?one (?:here|at|by|with)|\bnot found\b|(?:could|can)(?:n'?t| ?not) be found",
            rf"^[\d #:;,.-]*(?:{_GONE}|no\.?$)",
            r"does(?:n'?t| not) have an? .{0,40}\baccount|not our customer|not listed in|is not a valid|syntax",
            r"\bnull mx|(?:does(?:n'?t| not) accept|accepts? no|never accepts?) (?:any )?e?-?mail",
            rf"(?:{_WHO_ABROAD}).{{0,60}}(?:{_GONE_ABROAD})|(?:{_GONE_ABROAD}).{{0,30}}(?:{_WHO_ABROAD})",
        )
    )
)
_UNAVAILABLE = re.compile(r"\bmailbox (?:is )?unavailable\b")
_DISAGREES = re.compile(
    "|".join(
        (
            r"\brates?\b|too (?:many|much|fast|often)|excessive|limit|quota|\bfull\b|storage|exceed|\bover\b|size",
            r"large|spam|junk|\bbulk\b|unsolicited|virus|content|polic|block|(?:black|deny)-?list|listed (?:by|at)",
            r"\brbl\b|reputation|denied|prohibit|forbidden|not (?:allowed|permitted|authori[sz]ed|supported)|restrict",
            r"moderat|authenti|\bspf\b|dkim|dmarc|sender|from (?:you|this)|client host|\b[he][eh]lo\b|gr[ea]y-?list",
            r"\byour (?:ip|host|server|domain|e?mail|message)\b|temporar|later|again|retry|defer|busy|verif|validat",
            r"time-?d? ?out|connect|unreachable|\bdns\b|call-?(?:out|back)|relay(?:ing)? (?:access|not|is|den)|loop",
            r"suspen|suspicious|overload|maintenance|\btls\b|encrypt|receiving|fail|error|utf-?8|internationali",
            r"catch-?all|not (?:yet|currently)",
            r"domain (?:is )?(?:not found|does not exist|unknown|invalid)",
            r"(?:no such|unknown|invalid|bad) (?:domain|host)",
            # A sender, a domain, a server, a full or a blocked mailbox in the other languages.
            r"absender|exp[eé]diteur|remitente|remetente|mittente|nadawc|afzender|avsändar|отправител",
            r"发件|寄件|差出人|送信者|domän|domaine|dom[ií]nio|domeny?\b|домен|域名|ドメイン",
            r"serv(?:eu|ido)r|\bh[oô]te\b|сервер|服务器|サーバ",
            r"\bvoll|plein|llen[oa]|cheia|pien[ao]|pełn|переполнен|已满|いっぱい|gesperrt|blockier|bloqu|bloccat",
            r"zablokowan|geblokkeerd|заблокирован|冻结|später|plus tard|más tarde|più tardi|désactiv|archiv",
        )
    )
)


def is_gone(notification: Claimed, attempt: Attempt) -> bool:
    """Whether this attempt found out that the recipient's mailbox does not exist; the sandbox finds out nothing."""
    refused = attempt.outcome == "refused" and attempt.phase == "rcpt" and not notification.sandbox
    gone = refused and (attempt.reply_code or 0) // 100 == 5 and attempt.enhanced_code in GONE
    text = attempt.text or ""
    return gone and _agrees(attempt.enhanced_code or "", text) and _is_about_recipient(notification, text)


def _agrees(code: str, text: str) -> bool:
    """Return whether the words say what the code says. No words do too, but with 5.2.1, which has several meanings."""
    words = plain(text)
    if _DISAGREES.search(words):
        return False
    if _AGREES.search(words):
        return True
    silent = not any(c.isalpha() for c in words)
    return code != "5.2.1" and (silent or bool(_UNAVAILABLE.search(words)))


def _is_about_recipient(notification: Claimed, text: str) -> bool:
    """Not about one of the copies: with several recipients an answer to RCPT begins with whom it is about."""
    mail = notification.mail or {}
    if not (mail.get("cc") or mail.get("bcc")):
        return True
    return text.startswith(printable(f"{on_the_wire(notification.recipient)}: "))
