"""A user of the dashboard without a browser: keeps cookies, follows no redirects, fills in forms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from http.cookies import SimpleCookie
from typing import NamedTuple
from urllib.parse import urlencode

from db.secrets import KeyText
from tests.client import Client, Response
from tests.keys import EVERY, key
from tests.system import System

FORM = "application/x-www-form-urlencoded"
_TOKEN = re.compile(r'name="form_token" value="([^"]+)"')


class Page(NamedTuple):
    """An answer, as HTML."""

    status: int
    headers: dict[str, str]
    html: str

    @property
    def text(self) -> str:
        """The text that a person reads, with each run of spaces made one."""
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", self.html)).split())

    @property
    def token(self) -> str:
        """Of its forms."""
        found = _TOKEN.search(self.html)
        assert found, self.html
        return found[1]


class Person:
    """`headers` go with every request."""

    def __init__(self, port: int, headers: Mapping[str, str] | None = None) -> None:
        self._client, self._headers = Client(port), dict(headers or {})
        self.cookies: dict[str, str] = {}

    def get(self, path: str, **headers: str) -> Page:
        """GET, with the cookies that there are."""
        return self._ask("GET", path, None, headers)

    def post(self, path: str, fields: Mapping[str, object] | None = None, **headers: str) -> Page:
        """POST a form as it is."""
        return self._ask("POST", path, urlencode(fields or {}, doseq=True).encode(), {"Content-Type": FORM} | headers)

    def submit(self, page: str, fields: Mapping[str, object] | None = None, to: str | None = None) -> Page:
        """GET a page and POST a form of it, to itself unless `to` says where; with its token."""
        return self.post(to or page, {"form_token": self.get(page).token, **(fields or {})})

    def log_in(self, key: KeyText | str) -> Page:
        """With a key."""
        return self.submit("/login", {"key": str(key)})

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Page:
        sent = self._headers | {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return self._kept(self._client.request(method, path, body, sent))

    def _kept(self, answer: Response) -> Page:
        # http.client joins the cookies of an answer with commas; none of ours holds one.
        for one in answer.headers.get("set-cookie", "").split(", notify_"):
            for name, morsel in SimpleCookie(one if one.startswith("notify_") else f"notify_{one}").items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        return Page(answer.status, answer.headers, answer.raw.decode())


def logged_in(api: System, *scopes: str, of: int = 1, sandbox: bool = False) -> Person:
    """Return somebody who has logged in with a new key of the client `of`, which has every scope if none is given."""
    person = Person(api.port)
    assert person.log_in(key(api.sql, scopes or EVERY, of=of, sandbox=sandbox)).status == 303
    return person
