"""Local server for chat messages and webhooks of `notify up`: it stores what destinations with its URL receive in the
inbox."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from cli.up.fakes import Caught, Fake

_ESCAPED = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))  # what Slack has escaped


def _environment(_url: str) -> Mapping[str, str]:
    return {"CALLBACK_ALLOWED_NETWORKS": "127.0.0.1/32"}


def _chat(body: bytes) -> Caught:
    """Return a message as Slack or Discord gets it."""
    sent = orjson.loads(body)
    text = (sent.get("text") or sent.get("content")) if isinstance(sent, dict) else None
    if not isinstance(text, str):
        raise ValueError("not a chat message")
    for escaped, character in _ESCAPED:
        text = text.replace(escaped, character)
    return Caught("notify", "chat", text)


def _webhook(body: bytes) -> Caught:
    sent = orjson.loads(body)
    return Caught("notify", "webhook", orjson.dumps(sent, option=orjson.OPT_INDENT_2).decode())


def _ok(_number: int) -> bytes:
    return b"ok"


PLACES = (Fake("chat", _environment, _chat, _ok), Fake("webhook", _environment, _webhook, _ok))
