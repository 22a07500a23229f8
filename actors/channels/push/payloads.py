"""Compose the message of a notification for each push service. All functions are pure: every attempt gets the same
message."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, uuid5

import orjson

from actors.channels.push.recipients import kind_of, token_of
from db.records import Claimed

# Bytes: of notification and data at FCM, of the payload at APNs, of the text that fits into a record of RFC 8291.
LIMITS = {"fcm": 4_096, "apns": 4_096, "webpush": 3_993}
LONGEST = 2_419_200  # seconds for which FCM keeps a message at most: four weeks


class Push(NamedTuple):
    """A message to one app or browser. `id`: that of the notification. `uuid`: the same in every attempt."""

    id: str
    uuid: str
    kind: str
    token: str
    title: str
    body: str
    options: dict[str, Any]
    priority: str = "normal"
    expires_at: datetime | None = None

    @classmethod
    def of(cls, notification: Claimed) -> Push:
        """Return the message of a notification."""
        id = str(notification.id)
        return cls(
            id=id,
            uuid=str(uuid5(NAMESPACE_URL, f"push:{id}:{notification.created_at.isoformat()}")),
            kind=kind_of(notification.recipient),
            token=token_of(notification.recipient),
            title=notification.subject,
            body=notification.message,
            options=notification.mail or {},
            priority=notification.priority,
            expires_at=notification.expires_at,
        )

    @property
    def expiration(self) -> int | None:
        """Time after which it is not to be delivered, in seconds since 1970; None if there is none."""
        return None if self.expires_at is None else int(self.expires_at.timestamp())

    def ttl(self, now: float) -> int | None:
        """Return the seconds from `now` until the message expires, at most LONGEST; None if it never does."""
        return None if self.expiration is None else max(0, min(LONGEST, int(self.expiration - now)))


def fcm(push: Push, now: float) -> dict[str, Any]:
    """Return the Message of FCM's API. A token may be one of Android, of iOS or of a browser, so it has all parts."""
    ttl, url, urgent = push.ttl(now), push.options.get("url"), push.priority != "bulk"
    web = {"Topic": push.id, "Urgency": urgency(push)} | ({} if ttl is None else {"TTL": str(ttl)})
    android = {"collapse_key": push.id, "priority": "HIGH" if urgent else "NORMAL"}
    shown = {"tag": push.id, **_given(push, sound="sound", badge="notification_count")}
    link = {"fcm_options": {"link": url}} if url and url.startswith("https://") else {}
    return {
        "token": push.token,
        **fcm_content(push),
        "android": android | ({} if ttl is None else {"ttl": f"{ttl}s"}) | {"notification": shown},
        "apns": {"headers": apns_headers(push), "payload": {"aps": _given(push, badge="badge", sound="sound")}},
        "webpush": {"headers": web, "notification": {"tag": push.id}, **link},
    }


def fcm_content(push: Push) -> dict[str, Any]:
    """Return the parts of a Message whose size FCM limits."""
    data = _data(push)
    return {"notification": _alert(push)} | ({"data": data} if data else {})


def apns(push: Push) -> dict[str, Any]:
    """Return the payload for APNs. The app finds the data beside `aps`."""
    return {"aps": {"alert": _alert(push), **_given(push, badge="badge", sound="sound")}, **_data(push)}


def apns_headers(push: Push) -> dict[str, str]:
    """Return the headers that say how APNs delivers it: a second copy replaces the first."""
    headers = {"apns-collapse-id": push.id, "apns-priority": "5" if push.priority == "bulk" else "10"}
    return headers if push.expiration is None else {**headers, "apns-expiration": str(push.expiration)}


def webpush(push: Push) -> dict[str, Any]:
    """Return the document that the service worker of a web page gets."""
    more = _given(push, data="data", badge="badge", sound="sound", url="url")
    return {**_alert(push), "tag": push.id, **more}


def urgency(push: Push) -> str:
    """Return the value of the header Urgency (RFC 8030, section 5.3)."""
    return {"high": "high", "bulk": "low"}.get(push.priority, "normal")


def size(push: Push) -> int:
    """Return the bytes of a message that count towards LIMITS."""
    match push.kind:
        case "fcm":
            return len(orjson.dumps(fcm_content(push)))
        case "apns":
            return len(orjson.dumps(apns(push)))
    return len(orjson.dumps(webpush(push)))


def _alert(push: Push) -> dict[str, str]:
    return ({"title": push.title} if push.title else {}) | {"body": push.body}


def _data(push: Push) -> dict[str, str]:
    data = dict(push.options.get("data", {}))
    return data | ({"url": push.options["url"]} if "url" in push.options else {})


def _given(push: Push, **names: str) -> dict[str, Any]:
    """Return the options that the message has, under the names that a service gives them."""
    return {named: push.options[name] for name, named in names.items() if name in push.options}
