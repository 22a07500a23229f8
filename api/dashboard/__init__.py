"""Pages for people, rendered here with Jinja2; they work without JavaScript, which only keeps the overview moving.

How a request goes: `session_middleware.py` (a middleware) finds out by the path that it is for a page, finds the
session, puts the Caller into `req.context.caller` as `api.access.auth` does for keys, and reads and checks the
form of a POST. After it `answers.py` makes a page of any Problem and sets the headers that every page
has: a Content-Security-Policy that allows no inline script or style at all, no framing, no referrer.

To add a page:

1. A module here with a class like those in `api/`: `on_get` begins with `require(req, "read")` (or
   `manage`, `admin`: as the API does for the same thing), reads through `gateway.read(...)`, and ends with
   `show(req, resp, "things.html", things=...)`. A list reads one row more than it shows, in the
   order of an index, and never counts.
2. `pages/things.html`: `{% extends "base.html" %}`, blocks `title` and `main`, and the macros of `parts.html`:
   heading, badge, when, ago, table, facts, paging, form, field, confirm, empty. Everything is escaped and an
   unknown name is an error. No `style=`, no `<script>`, no `on...=`: the policy stops them. Styles stand
   in `static/*.css`, scripts in `static/*.js`, both linked by `{{ static("name") }}`.
3. Its line in `routes.py`; its first path segment in SECTIONS below; its entry in `nav.py`, where it belongs there.
4. An act is a `<form method="post">` (macro `form`, which adds the token): `on_post` reads `req.context.form`, calls
   the function that the API calls, and ends with `done(req, resp, to, "flash-code")`; the words are in `flashes.py`.
   What cannot be undone has a confirmation: a page of its own at the same address (`on_get` with `confirm`).
5. Tests: `tests/integration/test_dashboard_pages.py` walks all pages (headers, who may see what, hostile content):
   add yours to its PAGES; and to `tests/browser/`, where Chromium looks for what axe finds and the console says.
"""

from __future__ import annotations

# The first segments of the paths of pages; what is below them needs a session, what is not there too.
SECTIONS = frozenset(
    {"", "clients", "failures", "inbox", "keys", "live", "login", "logout", "notifications", "static", "suppressions"}
    | {"switch", "templates"}
)
_NAMED = SECTIONS - {""}
# What can be had without one.
OPEN = frozenset({"login", "static"})


def section(path: str) -> str:
    """The first segment of a path."""
    return path.split("/", 2)[1] if path.startswith("/") else ""


def serves(path: str) -> bool:
    """Whether a path is that of a page, and not of the API."""
    return path == "/" or section(path) in _NAMED
