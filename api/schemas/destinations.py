"""Rules of destinations beyond their JSON Schema: which fields a kind has, and where its URL may lead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from actors.channels.webhook.url_guard import Target, UrlRejected
from api.schemas import Fault
from settings import Settings

TELEGRAM, APPRISE, WEBHOOK = "telegram", "apprise", "webhook"
TELEGRAM_URL = "https://api.telegram.org"
_TOKEN = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{20,180}")
_CHAT = re.compile(r"-?[0-9]{1,20}|@[A-Za-z][A-Za-z0-9_]{3,31}")
_FORMS = {
    "token": (_TOKEN, "must be the token of a bot, such as 123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11"),
    "chatId": (_CHAT, "must be the number of a chat, such as -1001234567890, or the @name of a public channel"),
}
_PRINTABLE = re.compile("[!-~]+")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.+)")


def new_faults(document: Mapping[str, Any], settings: Settings) -> list[Fault]:
    """Return the faults of a new destination that its schema accepts."""
    kind = document["kind"]
    needed = ("token", "chatId") if kind == TELEGRAM else ("url",)
    missing = [_fault(name, f"is required for {kind}") for name in needed if name not in document]
    return [*missing, *changes_faults(kind, document, settings)]


def changes_faults(kind: str, document: Mapping[str, Any], settings: Settings) -> list[Fault]:
    """Return the faults of fields of a destination of this kind."""
    return [*_telegram(kind, document), *_url(kind, document, settings)]


def _telegram(kind: str, document: Mapping[str, Any]) -> Iterator[Fault]:
    for name, (form, detail) in _FORMS.items():
        if name in document and kind != TELEGRAM:
            yield _fault(name, f"belongs to telegram: leave it out for {kind}")
        elif name in document and not form.fullmatch(document[name]):
            yield _fault(name, detail)


def _url(kind: str, document: Mapping[str, Any], settings: Settings) -> Iterator[Fault]:
    if "url" not in document:
        return
    if kind == APPRISE:
        yield from _apprise(document["url"], settings)
        return
    try:
        target = Target.parse(document["url"], settings.callbacks.networks)
    except UrlRejected as rejected:
        yield _fault("url", str(rejected))
        return
    if kind == TELEGRAM and target.path != "/":
        yield _fault("url", f"must be the address of a Bot API server without a path, such as {TELEGRAM_URL}")


def _apprise(url: str, settings: Settings) -> Iterator[Fault]:
    """Refuse services that the operator has not allowed: Apprise may connect to anything that a URL names."""
    services = sorted(settings.chat.services)
    found = _SCHEME.fullmatch(url)
    if not services:
        yield _fault("url", "cannot be an Apprise URL here: the operator has to allow services with APPRISE_SERVICES")
    elif found is None or not _PRINTABLE.fullmatch(url) or "://" in found[2]:
        yield _fault("url", f"must be an Apprise URL, such as {services[0]}://...")
    elif found[1].lower() not in services:
        yield _fault("url", f"must begin with a scheme that APPRISE_SERVICES allows: {', '.join(services)}")


def _fault(name: str, detail: str) -> Fault:
    return {"pointer": f"/{name}", "detail": detail}
