"""Local provider of text messages for `notify up`."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from cli.up.fakes import Caught, Fake


def _environment(url: str) -> Mapping[str, str]:
    return {"PROVIDER_SMS": f"sms+https://:local@sms.example.com?endpoint={url}"}


def _read(body: bytes) -> Caught:
    sent = orjson.loads(body)
    if not isinstance(sent, dict) or not isinstance(sent.get("to"), str) or not isinstance(sent.get("text"), str):
        raise ValueError("not a text message")
    return Caught(str(sent.get("from") or "default"), sent["to"], sent["text"])


def _answer(number: int) -> bytes:
    return orjson.dumps({"id": f"inbox-{number}"})


SMS = Fake("sms", _environment, _read, _answer)
