"""Read the form of a POST: bounded, UTF-8, and sent from a page of the dashboard."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from hmac import compare_digest
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

from falcon.asgi import Request

from api.http import bodies
from api.http.problems import Problem
from settings import Settings

TOKEN = "form_token"  # noqa: S105 - the name of a field
MEDIA_TYPE = "application/x-www-form-urlencoded"
LIMIT = 524_288  # bytes
FIELDS = 200
_AGAIN = "Go back, reload the page and try again."


class Form(Mapping[str, str]):
    """The fields of a form by name. A repeated field has its last value; `all` returns every value."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs, self._last = pairs, dict(pairs)

    def __getitem__(self, name: str) -> str:
        return self._last[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._last)

    def __len__(self) -> int:
        return len(self._last)

    def all(self, name: str) -> list[str]:
        return [value for field, value in self._pairs if field == name]


def token(secret: str) -> str:
    """Return the token of a form. Only the holder of the cookie's secret can compute it."""
    return base64.urlsafe_b64encode(hashlib.sha256(f"form 1:{secret}".encode()).digest()).decode().rstrip("=")


async def read(req: Request, settings: Settings, secret: str) -> Form:
    """Return the fields of a form; raise Problem if it was not sent from a page of the dashboard."""
    if not _same_site(req, settings):
        raise Problem(HTTPStatus.FORBIDDEN, f"This form was sent from another site. {_AGAIN}")
    form = await _fields(req, settings)
    if not (secret and compare_digest(form.get(TOKEN, "").encode(), token(secret).encode())):
        raise Problem(HTTPStatus.FORBIDDEN, f"This form is too old: you have logged in or out since. {_AGAIN}")
    return form


def _same_site(req: Request, settings: Settings) -> bool:
    """Return False if the browser says that another site sent the form. If it says nothing, the token decides."""
    site = req.get_header("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = req.get_header("Origin")
    # With Referrer-Policy: no-referrer a browser may send "null". A proxy may send another Host than the browser.
    ours = {req.netloc, urlsplit(settings.public_url).netloc}
    return origin in (None, "null") or urlsplit(origin or "").netloc in ours - {""}


async def _fields(req: Request, settings: Settings) -> Form:
    media_type, _, _ = (req.content_type or "").partition(";")
    if media_type.strip().lower() != MEDIA_TYPE:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send the form as {MEDIA_TYPE}.")
    raw = await bodies.read(req, settings, LIMIT)
    pairs: list[tuple[str, str]] | None = None
    with suppress(ValueError):
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS, errors="strict")
    if pairs is None or any("\0" in value for _, value in pairs):
        raise Problem(HTTPStatus.BAD_REQUEST, f"A form must be UTF-8 without U+0000 and have at most {FIELDS} fields.")
    return Form(pairs)
