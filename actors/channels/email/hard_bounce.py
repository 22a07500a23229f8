"""Recognise hard bounces: refusals that mean that the recipient's mailbox does not exist.

The address of a hard bounce goes on the suppression list. A refusal is a hard bounce if it answers RCPT, its enhanced
code (RFC 3463 and its IANA registry) is about the mailbox, and its text agrees with the code. The text is checked
because providers overload the codes: Gmail uses 5.2.1 for a mailbox that receives too much mail, others use 5.1.1 for
a sender, a blocklist or a full mailbox. A wrong decision costs a person every later mail; a missed one costs one SMTP
conversation. So in doubt a refusal is not a hard bounce. These never are:
- a 5xx without an enhanced code: 550 is also used for policy (RFC 5321, section 4.2.3);
- 5.7.x (security and policy), 5.2.2 and 5.2.3 (mailbox full, mail too large): they may be temporary;
- 5.1.0 (also used for senders), 5.1.4 (ambiguous), 5.1.7 to 5.1.9 (about the sender or a relay);
- 5.1.2 (no such domain): a relay with a broken resolver reports it for every domain.
"""

from __future__ import annotations

import re

from actors.channels import Receipt, Refused, Undelivered, printable
from actors.channels.email.mailboxes import on_the_wire
from actors.channels.email.refusals import plain
from db.records import Claimed
from runtime import logs

log = logs.get("delivery")

GONE = frozenset(
    {
        "5.1.1",  # bad destination mailbox address
        "5.1.3",  # bad destination mailbox address syntax
        "5.1.6",  # destination mailbox has moved, no forwarding address
        "5.1.10",  # recipient address has null MX: the domain accepts no mail (RFC 7505)
        "5.2.1",  # mailbox disabled; a temporary state has 4.2.1
    }
)
_WHO = r"\b(?:user|recipient|mailbox|account|address|addressee|alias|person|customer|e-?mail)s?\b"
_GONE = (
    r"\b(?:unknown|not (?:be )?(?:found|known|valid|active|here|present)|non-?exist\w*|(?:no longer|not) exists?"
    r"|does(?:n'?t| not) exist|in(?:valid|active)|no longer|moved|disabled|deactivated|closed|terminated|deleted"
    r"|removed|discontinued|expired)\b"
)
# In German, French, Spanish, Portuguese, Italian, Polish, Dutch, Swedish, Russian, Chinese and Japanese.
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
            # Sender, domain, server, full or blocked mailbox in the other languages.
            r"absender|exp[eé]diteur|remitente|remetente|mittente|nadawc|afzender|avsändar|отправител",
            r"发件|寄件|差出人|送信者|domän|domaine|dom[ií]nio|domeny?\b|домен|域名|ドメイン",
            r"serv(?:eu|ido)r|\bh[oô]te\b|сервер|服务器|サーバ",
            r"\bvoll|plein|llen[oa]|cheia|pien[ao]|pełn|переполнен|已满|いっぱい|gesperrt|blockier|bloqu|bloccat",
            r"zablokowan|geblokkeerd|заблокирован|冻结|später|plus tard|más tarde|più tardi|désactiv|archiv",
        )
    )
)


def note_hard_bounce(notification: Claimed, refusal: Undelivered) -> None:
    """Let a refusal that is a hard bounce say that the recipient is to be suppressed."""
    try:
        if isinstance(refusal, Refused) and is_hard_bounce(notification, refusal.receipt):
            refusal.suppress = 0
    except Exception:  # The attempt was made and must be recorded.
        log.exception("attempt.not_judged", id=notification.id)


def is_hard_bounce(notification: Claimed, refusal: Receipt) -> bool:
    """Return whether a refusal proves that the recipient's mailbox does not exist."""
    gone = refusal.phase == "rcpt" and (refusal.reply_code or 0) // 100 == 5 and refusal.enhanced_code in GONE
    agrees = gone and _agrees(refusal.enhanced_code or "", refusal.text)
    return agrees and _is_about_recipient(notification, refusal.text)


def means_gone(code: str | None, text: str) -> bool:
    """Return whether a code and its text agree that a mailbox does not exist."""
    return code in GONE and _agrees(code or "", text)


def _agrees(code: str, text: str) -> bool:
    """Return whether the text agrees with the code. An empty text agrees, except with 5.2.1, which is ambiguous."""
    words = plain(text)
    if _DISAGREES.search(words):
        return False
    if _AGREES.search(words):
        return True
    silent = not any(c.isalpha() for c in words)
    return code != "5.2.1" and (silent or bool(_UNAVAILABLE.search(words)))


def _is_about_recipient(notification: Claimed, text: str) -> bool:
    """Return whether the text is about the recipient, not about a copy.

    With several recipients, the text of an answer to RCPT begins with the address that it is about.
    """
    mail = notification.mail or {}
    if not (mail.get("cc") or mail.get("bcc")):
        return True
    return text.startswith(printable(f"{on_the_wire(notification.recipient)}: "))
