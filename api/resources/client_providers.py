"""The providers that a client may use, as operators set them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from api.http.problems import invalid
from api.schemas import client_providers
from api.store import NotificationStore
from db import providers


async def check(store: NotificationStore, document: Mapping[str, Any]) -> None:
    """Raise Problem if the `providers` of a document name one that does not exist."""
    wanted = document.get("providers") or {}
    if faults := client_providers.faults(wanted, await _known(store) if wanted else {}):
        raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults)


async def by_channel(store: NotificationStore, names: Iterable[str]) -> dict[str, list[str]] | None:
    """Return the names by channel, None if there are none; raise Problem if there is no such provider."""
    try:
        return client_providers.by_channel(names, await _known(store)) or None
    except client_providers.UnknownProvider as unknown:
        fault = {"pointer": "/providers", "detail": f"{unknown}"}
        raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, [fault]) from None


async def _known(store: NotificationStore) -> dict[str, str]:
    """Return the channel of each provider that workers have reported or this process has in its settings."""
    return {**client_providers.configured(store.settings), **await store.read(providers.channels)}
