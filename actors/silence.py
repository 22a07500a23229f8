"""Notice providers whose reports stop or come again. Each worker looks; the database lets one of them tell."""

from __future__ import annotations

from db import silence
from db.lifecycle.silence import fell_silent, forget_silences, is_heard
from runtime import logs

log = logs.get("silence")


def look() -> None:
    """Judge all providers and record what has changed. Call within `connection()`."""
    for name in forget_silences():
        log.warning("provider.silence_forgotten", provider=name)
    for provider, since, judged in silence.standings():
        if judged is None or judged.silent == (since is not None):
            continue
        counts = {"sent": judged.sent, "reported": judged.reported, "usual": round(judged.usual, 3)}
        if judged.silent and fell_silent(provider, judged):
            log.warning("provider.silent", provider=provider, **counts)
        elif not judged.silent and is_heard(provider, judged):
            log.info("provider.heard", provider=provider, **counts)
