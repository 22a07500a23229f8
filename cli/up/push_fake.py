"""Local provider of push messages for `notify up`."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from cli.up.fakes import Caught, Fake


def _environment(url: str) -> Mapping[str, str]:
    return {"PROVIDER_PUSH": f"push+https://:local@push.example.com?endpoint={url}"}


def _read(body: bytes) -> Caught:
    sent = orjson.loads(body)
    if (
        not isinstance(sent, dict)
        or not isinstance(sent.get("recipient"), str)
        or not isinstance(sent.get("body"), str)
    ):
        raise ValueError("not a push message")
    lines = [sent.get("title"), sent["body"]]
    given = {name: sent[name] for name in ("data", "url", "badge", "sound") if name in sent}
    more = [orjson.dumps(given, option=orjson.OPT_INDENT_2).decode()] if given else []
    return Caught("push", sent["recipient"], "\n\n".join([*filter(None, lines), *more]))


def _answer(number: int) -> bytes:
    return orjson.dumps({"id": f"inbox-{number}"})


PUSH = Fake("push", _environment, _read, _answer)
