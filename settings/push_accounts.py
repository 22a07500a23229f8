"""Accounts of push services, from URLs such as fcm:///run/secrets/firebase.json and webpush://ops%40example.com?key=..."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from settings.account_urls import SECRET, endpoint_url
from settings.errors import SettingsError
from settings.hosts import is_domain_name
from settings.http_account import HttpAccount

FORMS = {
    "fcm": "fcm:///path/to/service-account.json",
    "apns": "apns://KEYID:TEAMID@com.example.app?key=/path/to/AuthKey.p8",
    "webpush": "webpush://ops%40example.com?key=/path/to/vapid.pem",
    "push+https": "push+https://:TOKEN@push.example.com/path",
}
# Requests at a time, of all worker processes together. Over 20, a service that answers in 20 ms takes at most 1,000 a
# second.
CONNECTIONS = 100
_FCM, _APNS, _SANDBOX = "https://fcm.googleapis.com", "https://api.push.apple.com", "https://api.sandbox.push.apple.com"
_APPLE_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_TOPIC = re.compile(r"[A-Za-z0-9.-]{1,155}")
_MAILBOX = re.compile(r"[!#$%&'*+/=?^_`{|}~A-Za-z0-9.-]{1,64}")


@dataclass(frozen=True, slots=True)
class PushAccount(HttpAccount):
    """Account of a push service. Its secret is in a file, which only workers read, except that of your own service.

    `file`: path of the key. `team` and `topic` (the app's bundle id): only of APNs; `key` is the id of its key there.
    `contact`: only of Web Push, the address that push services write to if something is wrong. `url` is empty for Web
    Push, where each recipient names a server.
    """

    file: str = ""
    team: str = ""
    topic: str = ""
    contact: str = ""

    @property
    def name(self) -> str:
        """Host of the API."""
        return urlsplit(self.url).netloc or "push services"


def account(variable: str, parts: SplitResult, options: Mapping[str, str]) -> HttpAccount:
    """Return the account of a URL of one of these forms; raise SettingsError if it is malformed."""
    known = {"endpoint", *_OPTIONS[parts.scheme]}
    if unknown := set(options) - known:
        names = f"{', '.join(sorted(known))}, connections, rate, daily, priority or weight"
        raise SettingsError(f"{variable} has an unknown option {min(unknown)!r}: use {names}")
    found = {"secret": "", **_READERS[parts.scheme](variable, parts, options)}
    if "endpoint" in options:
        found["url"] = endpoint_url(variable, options["endpoint"])
    return PushAccount(parts.scheme, variable=variable, **found)


def _fcm(variable: str, parts: SplitResult, options: Mapping[str, str]) -> dict[str, str]:
    if parts.netloc or bool(parts.path.strip("/")) == ("key" in options):
        raise _malformed(variable, "fcm")
    return {"url": _FCM, "file": _file(variable, "fcm", options.get("key") or unquote(parts.path))}


def _apns(variable: str, parts: SplitResult, options: Mapping[str, str]) -> dict[str, str]:
    key, team, topic = unquote(parts.username or ""), unquote(parts.password or ""), parts.netloc.rpartition("@")[2]
    if not (_APPLE_ID.fullmatch(key) and _APPLE_ID.fullmatch(team) and _TOPIC.fullmatch(topic)) or parts.path.strip(
        "/"
    ):
        raise _malformed(variable, "apns")
    if options.get("sandbox", "0") not in {"0", "1"}:
        raise SettingsError(f"{variable} has sandbox={options['sandbox']}: give 1 for the development server, or 0")
    file = _file(variable, "apns", options.get("key", ""))
    url = _SANDBOX if options.get("sandbox") == "1" else _APNS
    return {"url": url, "file": file, "key": key, "team": team, "topic": topic}


def _webpush(variable: str, parts: SplitResult, options: Mapping[str, str]) -> dict[str, str]:
    contact = unquote(parts.netloc)
    local, _, domain = contact.rpartition("@")
    if not (_MAILBOX.fullmatch(local) and is_domain_name(domain)) or parts.path.strip("/"):
        raise _malformed(variable, "webpush")
    return {"url": "", "file": _file(variable, "webpush", options.get("key", "")), "contact": contact}


def _own_service(variable: str, parts: SplitResult, _options: Mapping[str, str]) -> dict[str, str]:
    secret = unquote(parts.password or "")
    if parts.username or not SECRET.fullmatch(secret) or not is_domain_name(parts.hostname or ""):
        raise _malformed(variable, "push+https")
    port = f":{parts.port}" if parts.port else ""
    return {"secret": secret, "url": f"https://{parts.hostname}{port}{parts.path}"}


_READERS: dict[str, Callable[[str, SplitResult, Mapping[str, str]], dict[str, str]]] = {
    "fcm": _fcm,
    "apns": _apns,
    "webpush": _webpush,
    "push+https": _own_service,
}
_OPTIONS = {"fcm": ("key",), "apns": ("key", "sandbox"), "webpush": ("key",), "push+https": ()}


def _file(variable: str, kind: str, path: str) -> str:
    if not path.startswith("/") or "\0" in path:
        raise SettingsError(f"{variable} must name its key file by an absolute path, as in {FORMS[kind]}")
    return path


def _malformed(variable: str, kind: str) -> SettingsError:
    return SettingsError(f"{variable} must look like {FORMS[kind]}")
