"""One client for each set of options in a process, so that its connections stay open between mails."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from notification_client.client import Client

OPTIONS = frozenset({"url", "key", "timeout", "retry_for", "ssl_context"})


def client(**options: Any) -> Client:
    """Return the client with these options, and those of the setting NOTIFICATIONS for what is not given."""
    configured = getattr(settings, "NOTIFICATIONS", {})
    chosen = {**configured, **{name: value for name, value in options.items() if value is not None}}
    if unknown := sorted(chosen.keys() - OPTIONS):
        raise ImproperlyConfigured(f"NOTIFICATIONS has the unknown options {unknown}; known are {sorted(OPTIONS)}")
    if not chosen.get("url"):
        raise ImproperlyConfigured('give the url of the API: NOTIFICATIONS = {"url": "https://...", "key": "..."}')
    try:
        return _shared(tuple(sorted(chosen.items())))
    except ValueError as error:
        raise ImproperlyConfigured(f"NOTIFICATIONS: {error}") from error


@cache
def _shared(options: tuple[tuple[str, Any], ...]) -> Client:
    given = dict(options)
    return Client(given.pop("url"), given.pop("key", None), **given)


# Processes must not share connections: a server that forks would mix up their answers.
os.register_at_fork(after_in_child=_shared.cache_clear)
