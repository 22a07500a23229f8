"""A call: one request of the API, what its answer means, and whether it may be repeated."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

from notification_client.errors import ApiError, UnexpectedAnswer, api_error

T = TypeVar("T")
JSON = "application/json"
# Methods that HTTP defines as idempotent (RFC 9110, 9.2.2) and whose repetition this API answers like the first.
SAFE = frozenset({"GET", "PUT"})


@dataclass(frozen=True)
class Answer:
    """Answer of a server; `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """True if the request had its effect."""
        return 200 <= self.status < 300

    def document(self) -> Any:
        """Return the body as JSON, None if it is empty; raise UnexpectedAnswer."""
        try:
            return json.loads(self.body) if self.body else None
        except ValueError as error:
            raise UnexpectedAnswer(f"the answer with status {self.status} is not JSON") from error

    def error(self) -> ApiError | UnexpectedAnswer:
        """Return the exception for an answer that is not `ok`."""
        if self.status < 400:
            where = self.headers.get("location", "nowhere")
            return UnexpectedAnswer(f"status {self.status}, to {where}: redirects are not followed, fix the base URL")
        try:
            problem = self.document()
        except UnexpectedAnswer:  # A proxy answers in HTML.
            problem = None
        return api_error(self.status, problem if isinstance(problem, dict) else {}, self.headers)


@dataclass(frozen=True)
class Call(Generic[T]):
    """One logical call. It keeps its `key` (Idempotency-Key) when it is repeated."""

    method: str
    path: str
    read: Callable[[Answer], T]
    """Reads a successful answer; raises UnexpectedAnswer."""
    query: Iterable[tuple[str, str]] = ()
    body: bytes | None = None
    key: str | None = None
    repeatable: bool = False
    """True if several times have the same effect as once."""
    waits: float = 0
    """Seconds that the server may take on purpose (long poll)."""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def target(self) -> str:
        """Path and query."""
        query = urlencode(list(self.query))
        return f"{self.path}?{query}" if query else self.path

    @property
    def all_headers(self) -> dict[str, str]:
        """The headers of the call alone: without authentication."""
        headers = {"Accept": JSON, **self.headers}
        if self.body is not None:
            headers["Content-Type"] = JSON
        if self.key is not None:
            headers["Idempotency-Key"] = self.key
        return headers


def call(method: str, path: str, read: Callable[[Any], T], document: Any = None, **more: Any) -> Call[T]:
    """Return a call that `read`s JSON and has a JSON body; it is repeatable if its method is."""
    body = None if document is None else json.dumps(document, allow_nan=False).encode()

    def reading(answer: Answer) -> T:
        try:
            return read(answer.document())
        except (KeyError, TypeError, ValueError) as error:
            raise UnexpectedAnswer(f"the answer to {method} {path} is not one of this API: {error!r}") from error

    return Call(method, path, reading, body=body, **{"repeatable": method in SAFE} | more)


def path(*parts: object) -> str:
    """Return the path below /api of these parts, each escaped."""
    return "/".join(["/api", *(quote(str(part), safe="") for part in parts)])


def nothing(_document: Any) -> None:
    """Read an answer without content."""


def anything(document: Any) -> Any:
    """Read an answer as it is."""
    return document


@dataclass(frozen=True)
class Page(Generic[T]):
    """Part of a list; `cursor` leads to the next one, None at the end."""

    items: list[T]
    cursor: str | None


def page_of(read: Callable[[Any], T]) -> Callable[[Any], Page[T]]:
    """Return how to read a page, given how to read one of its items."""

    def reading(document: Any) -> Page[T]:
        if not isinstance(document, dict) or not isinstance(document.get("items"), list):
            raise UnexpectedAnswer("the API answered no list")
        return Page([read(item) for item in document["items"]], document.get("nextCursor"))

    return reading


def items_of(read: Callable[[Any], T]) -> Callable[[Any], list[T]]:
    """Return how to read a list that has one page."""
    reading = page_of(read)
    return lambda document: reading(document).items


Pages = Callable[[str | None], Call[Page[T]]]
"""Makes the call of a page, given its cursor."""


def pages(place: str, read: Callable[[Any], T], query: Iterable[tuple[str, str]] = ()) -> Pages[T]:
    """Return how to get the pages of a list."""
    first, reading = list(query), page_of(read)

    def page(cursor: str | None) -> Call[Page[T]]:
        return call("GET", place, reading, query=first if cursor is None else [*first, ("cursor", cursor)])

    return page
