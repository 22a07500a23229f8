"""Templates: texts with variables, stored at the server in versions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from notification_client.calls import Call, Pages, call, nothing, pages, path
from notification_client.decoding import Model
from notification_client.models import TemplateVersionName
from notification_client.performing import AsyncPerformer, Performer


@dataclass(frozen=True, kw_only=True)
class Template(Model):
    """A version of a template. A list of templates leaves out its texts."""

    name: str
    version: int
    created_at: datetime
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Preview(Model):
    """A template rendered with variables. Nothing was stored or sent."""

    template: TemplateVersionName
    subject: str
    message: str
    html: str | None = None


class Templates:
    """The templates of the client."""

    def __init__(self, client: Performer) -> None:
        self._client = client

    def put(
        self,
        name: str,
        *,
        subject: str,
        text: str,
        html: str | None = None,
        schema: Mapping[str, Any] | None = None,
    ) -> Template:
        """Store a new version, unless the newest one is the same; return it."""
        return self._client.perform(_put(name, {"subject": subject, "text": text, "html": html, "schema": schema}))

    def get(self, name: str, version: int | None = None) -> Template:
        """Return a version, by default the newest."""
        return self._client.perform(_get(name, version))

    def all(self) -> Iterator[Template]:
        """Yield the newest version of each template by name, without its texts."""
        return self._client.pages(_all())

    def versions(self, name: str) -> Iterator[Template]:
        """Yield the versions of a template, newest first."""
        return self._client.pages(_versions(name))

    def preview(self, name: str, variables: Mapping[str, Any], version: int | None = None) -> Preview:
        """Return the template rendered with these variables."""
        return self._client.perform(_preview(name, variables, version))

    def delete(self, name: str) -> None:
        """Delete all versions of a template."""
        return self._client.perform(_delete(name))


class AsyncTemplates:
    """The templates of the client."""

    def __init__(self, client: AsyncPerformer) -> None:
        self._client = client

    async def put(
        self,
        name: str,
        *,
        subject: str,
        text: str,
        html: str | None = None,
        schema: Mapping[str, Any] | None = None,
    ) -> Template:
        """Store a new version, unless the newest one is the same; return it."""
        fields = {"subject": subject, "text": text, "html": html, "schema": schema}
        return await self._client.perform(_put(name, fields))

    async def get(self, name: str, version: int | None = None) -> Template:
        """Return a version, by default the newest."""
        return await self._client.perform(_get(name, version))

    def all(self) -> AsyncIterator[Template]:
        """Yield the newest version of each template by name, without its texts."""
        return self._client.pages(_all())

    def versions(self, name: str) -> AsyncIterator[Template]:
        """Yield the versions of a template, newest first."""
        return self._client.pages(_versions(name))

    async def preview(self, name: str, variables: Mapping[str, Any], version: int | None = None) -> Preview:
        """Return the template rendered with these variables."""
        return await self._client.perform(_preview(name, variables, version))

    async def delete(self, name: str) -> None:
        """Delete all versions of a template."""
        return await self._client.perform(_delete(name))


def _put(name: str, fields: Mapping[str, Any]) -> Call[Template]:
    given = {field: value for field, value in fields.items() if value is not None}
    return call("PUT", path("templates", name), Template.read, given)


def _get(name: str, version: int | None) -> Call[Template]:
    versioned = () if version is None else ("versions", version)
    return call("GET", path("templates", name, *versioned), Template.read)


def _all() -> Pages[Template]:
    return pages(path("templates"), Template.read)


def _versions(name: str) -> Pages[Template]:
    return pages(path("templates", name, "versions"), Template.read)


def _preview(name: str, variables: Mapping[str, Any], version: int | None) -> Call[Preview]:
    body = {"variables": variables} | ({} if version is None else {"version": version})
    return call("POST", path("templates", name, "preview"), Preview.read, body, repeatable=True)


def _delete(name: str) -> Call[None]:
    return call("DELETE", path("templates", name), nothing)
