"""Firebase Cloud Messaging: messages:send of its HTTP API, version 1."""

from __future__ import annotations

from typing import Any

import orjson

from actors.channels import Begin, Deferred, ProviderDown, Receipt, Refused, Throttled, Undelivered, always
from actors.channels.http_api import Answer, ApiConnection, Request
from actors.channels.http_judging import document, taken, words
from actors.channels.push import payloads
from actors.channels.push.access_token import AccessToken
from actors.channels.push.judging import gone, refusal
from actors.channels.push.payloads import Push
from db.records import Claimed

_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_UNREGISTERED = "UNREGISTERED"
# Codes of FcmError, which say more than the status of the error.
_CODES: dict[object, type[Undelivered]] = {
    "INVALID_ARGUMENT": Refused,
    "SENDER_ID_MISMATCH": Refused,  # the token belongs to another project
    "QUOTA_EXCEEDED": Throttled,
    "UNAVAILABLE": Deferred,
    # The project's key for APNs or Web Push is missing or wrong; messages to Android still arrive.
    "THIRD_PARTY_AUTH_ERROR": Deferred,
}
_STATUSES: dict[object, type[Undelivered]] = {
    "UNAUTHENTICATED": ProviderDown,
    "PERMISSION_DENIED": ProviderDown,
    "NOT_FOUND": ProviderDown,  # without UNREGISTERED: the project
}


def request(push: Push, base: str, project: str, now: float) -> Request:
    """Return the request, without its access token. `now`: seconds since 1970."""
    body = orjson.dumps({"message": payloads.fcm(push, now)})
    return Request(f"{base}/v1/projects/{project}/messages:send", {"Content-Type": "application/json"}, body)


def judge(answer: Answer, _notification: Claimed) -> Receipt:
    """Return the receipt, or raise what the answer means."""
    said = document(answer)
    if answer.status == 200:
        return taken(answer, said.get("name"))
    error = said.get("error")
    error = error if isinstance(error, dict) else {}
    code, status = _code(error), error.get("status")
    text = ": ".join(str(part) for part in (code or status, error.get("message") or words(answer)) if part)
    if code == _UNREGISTERED:
        raise gone(answer, text)
    if code == "QUOTA_EXCEEDED" and _about_one_device(error):
        raise refusal(answer, text, {code: Deferred}, code)
    raise refusal(answer, text, _CODES if code else _STATUSES, code or status)


def _code(error: dict[str, Any]) -> str:
    """Return the code of FcmError, or an empty text."""
    for detail in _objects(error.get("details")):
        if detail.get("@type") == _FCM_ERROR:
            return str(detail.get("errorCode", ""))
    return ""


def _about_one_device(error: dict[str, Any]) -> bool:
    """Return whether the exceeded quota is that of a device, so that other messages may go on."""
    violations = [one for detail in _objects(error.get("details")) for one in _objects(detail.get("violations"))]
    return any("device" in f"{one.get('subject')} {one.get('description')}".lower() for one in violations)


def _objects(found: object) -> list[dict[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


class FcmConnection:
    """Connection of one sender to FCM. It replaces an access token that is refused, once for each message."""

    def __init__(self, connection: ApiConnection, tokens: AccessToken) -> None:
        self._connection, self._tokens = connection, tokens

    async def post(self, request: Request, begin: Begin) -> Answer:
        """POST with an access token; see `ApiConnection.post`."""
        token = await self._tokens.get()
        answer = await self._connection.post(_with(request, token), begin)
        if answer.status == 401 and "THIRD_PARTY_AUTH_ERROR" not in words(answer):
            self._tokens.drop(token)
            token = await self._tokens.get()
            answer = await self._connection.post(_with(request, token), always)
        return answer._replace(body=answer.body.replace(token.encode(), b"***"))

    async def close(self) -> None:
        """Close the connection at once."""
        await self._connection.close()


def _with(request: Request, token: str) -> Request:
    return Request(request.url, {**request.headers, "Authorization": f"Bearer {token}"}, request.body)
