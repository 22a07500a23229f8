"""Renders the template of a notification before the notification is stored."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from actors.channels.registry import channels
from api.http.problems import Problem, invalid
from api.rendering.faults import Fault, Faulty
from api.rendering.pool import TEMPLATES, Pool
from api.schemas.documents import Documents
from api.store import NotificationStore
from db import templates
from db.templates import Content

FRESH = 1.0  # seconds for which a template that was read is reused
PARTS = {"subject": "subject", "message": "text", "html": "html"}  # field of a notification -> part of a template
_GIVEN = ("template", "variables")

Key = tuple[int, str, int | None]


class Version(NamedTuple):
    """Version of a client's template, in the form that the rendering processes take."""

    name: str
    number: int
    source: dict[str, Any]


class Templating:
    """Reads and renders templates. There is one per API process."""

    def __init__(self, store: NotificationStore, pool: Pool) -> None:
        self._store, self._pool = store, pool
        self.documents = Documents(store.settings)
        self._kept: OrderedDict[Key, tuple[float, asyncio.Future[Version | None]]] = OrderedDict()

    async def filled(self, client_id: int, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return a checked notification with its template's texts, and with `template` as {"name", "version"}.

        Raises:
            Faulty: the template or the variables have faults; pointers are into `document`.
            Full, Unavailable: try again later.
        """
        version = await self._version(client_id, document["template"])
        texts = await self._rendered(client_id, version, document.get("variables", {}))
        type = document["type"]
        self._check_texts(texts, "/template", type)
        known = self.documents.fields(type)
        return {
            **{name: value for name, value in document.items() if name not in _GIVEN},
            **{name: text for name, text in texts.items() if name in known},
            "template": {"name": version.name, "version": version.number},
        }

    async def preview(
        self, client_id: int, name: str, number: int | None, variables: Mapping[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        """Return the number of the version and its rendered texts; raise Problem."""
        version = await self._kept_version((client_id, name, number))
        if version is None:
            raise Problem(HTTPStatus.NOT_FOUND, "There is no template with this name, or it has no such version.")
        try:
            texts = await self._rendered(client_id, version, variables)
            self._check_texts(texts, "", next(iter(channels())))
        except Faulty as faulty:
            raise refused(
                Faulty([Fault(f.pointer.removeprefix("/template"), f.detail) for f in faulty.faults])
            ) from None
        return version.number, texts

    async def check(self, client_id: int, content: Content) -> None:
        """Raise Problem 422 unless the parts of a template compile and its schema is valid."""
        source = content._asdict()
        try:
            await self._pool.ask(client_id, {"key": f"check {client_id} {content.digest}", "source": source}, source)
        except Faulty as faulty:
            faults = [Fault(f.pointer.removeprefix("/template"), f.detail) for f in faulty.faults]
            raise refused(Faulty(faults)) from None

    def forget(self, client_id: int, name: str) -> None:
        """Forget the versions of a template that was changed through this process."""
        for key in [key for key in self._kept if key[:2] == (client_id, name)]:
            del self._kept[key]

    def _check_texts(self, texts: Mapping[str, Any], place: str, type: str) -> None:
        if wanting := self.documents.text_faults(type, texts):
            raise Faulty([Fault(place, f"its rendered {_part(f['pointer'])} {f['detail']}") for f in wanting])

    async def _version(self, client_id: int, wanted: Any) -> Version:
        name, number = (wanted, None) if isinstance(wanted, str) else (wanted["name"], wanted.get("version"))
        version = await self._kept_version((client_id, name, number))
        if version is None:
            raise Faulty([Fault("/template", "there is no template with this name, or it has no such version")])
        return version

    async def _rendered(self, client_id: int, version: Version, variables: Mapping[str, Any]) -> dict[str, Any]:
        # Version numbers are never reused, so the key identifies the content.
        key = f"{client_id}/{version.name}/{version.number}"
        answer = await self._pool.ask(client_id, {"key": key, "variables": variables}, version.source)
        texts = answer["rendered"]
        texts["subject"] = texts["subject"].strip()
        return {field: texts[part] for field, part in PARTS.items() if part in texts}

    async def _kept_version(self, key: Key) -> Version | None:
        """Return a version, reading it at most once in FRESH seconds, or None if there is none."""
        until, found = self._kept.get(key, (0.0, None))
        if found is None or until <= time.monotonic():
            found = asyncio.ensure_future(self._read(key))
            found.add_done_callback(_heard)
            self._kept[key] = (time.monotonic() + FRESH, found)
            self._kept.move_to_end(key)
            if len(self._kept) > TEMPLATES:
                self._kept.popitem(last=False)
        try:
            version = await asyncio.shield(found)
        except Exception:
            self._drop(key, found)
            raise
        if version is None:  # A template that is created next must be found at once.
            self._drop(key, found)
        return version

    def _drop(self, key: Key, found: asyncio.Future[Version | None]) -> None:
        if self._kept.get(key, (0.0, None))[1] is found:
            del self._kept[key]

    async def _read(self, key: Key) -> Version | None:
        client_id, name, number = key
        if number is None:
            row = await self._store.read(templates.newest, client_id, name)
        else:
            row = await self._store.read(templates.version, client_id, name, number)
        if row is None:
            return None
        return Version(name, row["version"], {part: row[part] for part in Content._fields})


def refused(faulty: Faulty) -> Problem:
    """Return the Problem 422 with the faults of a template."""
    return invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faulty.listed)


def _heard(found: asyncio.Future[Any]) -> None:
    """Retrieve the exception of a read whose caller has gone, or asyncio logs it as an error."""
    if not found.cancelled():
        found.exception()


def _part(pointer: str) -> str:
    return PARTS.get(pointer[1:], pointer)
