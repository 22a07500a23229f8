"""Push services as their documents describe them. A message that is taken is in `sink`."""

from __future__ import annotations

import time
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from tests.providers.push_keys import (
    BROWSER,
    CONTACT,
    EMAIL,
    KEY_ID,
    PROJECT,
    SECRET,
    TEAM_ID,
    TOPIC,
    ec_key,
    encoded,
    public,
    verified,
)
from tests.providers.server import Received, Reply

UNREGISTERED = {
    "error": {
        "code": 404,
        "message": "Requested entity was not found.",
        "status": "NOT_FOUND",
        "details": [{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "UNREGISTERED"}],
    }
}


class Taken(NamedTuple):
    """A message that a service has taken: to whom it goes, with which headers, and what it says."""

    token: str
    headers: dict[str, str]
    content: Any


class Fcm:
    """FCM, and the server of access tokens. Each token has a number; those below `valid_from` are refused."""

    def __init__(self) -> None:
        self.sink: list[Taken] = []
        self.tokens = 0
        self.valid_from = 1

    def __call__(self, received: Received) -> Reply:
        assert received.method == "POST"
        if received.target == "/token":
            return self._grant(received)
        given = received.headers.get("authorization", "").removeprefix("Bearer token-")
        if not given.isdigit() or not self.valid_from <= int(given) <= self.tokens:
            return Reply(401, {"error": {"code": 401, "message": "Invalid credentials", "status": "UNAUTHENTICATED"}})
        if received.target != f"/v1/projects/{PROJECT}/messages:send":
            return Reply(404, {"error": {"code": 404, "message": "No such project", "status": "NOT_FOUND"}})
        message = received.json["message"]
        if message["token"].startswith("gone"):
            return Reply(404, UNREGISTERED)
        self.sink.append(Taken(message["token"], received.headers, message))
        return self.taken(len(self.sink))

    @staticmethod
    def taken(number: int) -> Reply:
        return Reply(200, {"name": f"projects/{PROJECT}/messages/id-{number}"})

    def _grant(self, received: Received) -> Reply:
        form = parse_qs(received.body.decode())
        assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        header, claims = verified(form["assertion"][0])
        assert header == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
        assert claims["iss"] == EMAIL
        assert claims["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
        assert claims["aud"].endswith(f"{received.headers['host']}/token")
        assert claims["exp"] - claims["iat"] == 3_600
        assert abs(claims["iat"] - time.time()) < 60
        self.tokens += 1
        return Reply(200, {"access_token": f"token-{self.tokens}", "expires_in": 3_599, "token_type": "Bearer"})


class Apns:
    """Apple's service, for the requests of tests/providers/http2_server.py."""

    def __init__(self) -> None:
        self.sink: list[Taken] = []
        self.tokens: set[str] = set()

    def __call__(self, received: Received) -> Reply:
        headers = received.headers
        token = headers.get("authorization", "").removeprefix("bearer ")
        header, claims = verified(token)
        if header != {"alg": "ES256", "typ": "JWT", "kid": KEY_ID} or claims["iss"] != TEAM_ID:
            return Reply(403, {"reason": "InvalidProviderToken"})
        if not 0 <= time.time() - claims["iat"] < 3_600:
            return Reply(403, {"reason": "ExpiredProviderToken"})
        self.tokens.add(token)
        device = received.target.removeprefix("/3/device/")
        if headers.get("apns-topic") != TOPIC or len(device) != 64:
            return Reply(400, {"reason": "BadDeviceToken" if len(device) != 64 else "DeviceTokenNotForTopic"})
        assert received.json["aps"]["alert"]["body"]
        self.sink.append(Taken(device, headers, received.json))
        return Reply(200, b"", {"apns-id": headers["apns-id"]})


class WebPush:
    """A push service of browsers. It hands what comes to the one browser there is, which decrypts it."""

    def __init__(self) -> None:
        self.sink: list[Taken] = []

    def __call__(self, received: Received) -> Reply:
        headers = received.headers
        scheme, _, parameters = headers["authorization"].partition(" ")
        given = dict(one.strip().split("=", 1) for one in parameters.split(","))
        assert scheme == "vapid"
        assert given["k"] == encoded(public(ec_key()))
        header, claims = verified(given["t"])
        assert header == {"alg": "ES256", "typ": "JWT"}
        assert claims["sub"] == f"mailto:{CONTACT}"
        assert 0 < claims["exp"] - time.time() <= 86_400
        assert headers["content-encoding"] == "aes128gcm"
        assert int(headers["ttl"]) >= 0
        assert len(headers["topic"]) <= 32
        assert len(received.body) <= 4_096
        self.sink.append(Taken(received.target, {**headers, "aud": claims["aud"]}, BROWSER.read(received.body)))
        return Reply(201, b"", {"Location": f"https://push.example.com/m/id-{len(self.sink)}"})


class OwnService:
    """A service of one's own, as docs/push.md describes it. It takes a message once."""

    def __init__(self) -> None:
        self.sink: list[Taken] = []
        self._keys: dict[str, int] = {}

    def __call__(self, received: Received) -> Reply:
        if received.headers.get("authorization") != f"Bearer {SECRET}":
            return Reply(401, b"wrong token")
        assert received.target == "/push"
        key, content = received.headers["idempotency-key"], received.json
        if key not in self._keys:
            self.sink.append(Taken(content["recipient"], received.headers, content))
            self._keys[key] = len(self.sink)
        return Reply(202, {"id": f"id-{self._keys[key]}"})
