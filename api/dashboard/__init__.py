"""Pages for people, rendered on the server with Jinja2. They work without JavaScript.

`session_middleware.py` recognises a request for a page by its path and finds the session. It puts the Caller into
`req.context.caller`, as `api.access.auth` does for keys, and reads and checks the form of a POST. After the request,
`answers.py` turns any Problem into a page and sets the headers of every page. Its Content-Security-Policy allows no
inline script or style; pages cannot be framed and send no referrer.

To add a page:

1. Write a module here with a class like those in `api/`. `on_get` begins with `require(req, "read")` (or `manage` or
   `admin`, as in the API), reads through `store.read(...)`, and ends with
   `show(req, resp, "things.html", things=...)`. A list reads one row more than it shows, in the order of
   an index, and never counts.
2. Write `pages/things.html` with `{% extends "base.html" %}`, the blocks `title` and `main`, and the macros of
   `parts.html`. Everything is escaped, and an unknown name is an error. Do not use `style=`, `<script>` or `on...=`:
   the policy blocks them. Put styles into `static/*.css` and scripts into `static/*.js`, and link
   them with `{{ static("name") }}`.
3. Add a line to `routes.py`, the first segment of its path to SECTIONS below, and an entry to `nav.py` if it needs one.
4. An action is a `<form method="post">` (the macro `form` adds the token). `on_post` reads `req.context.form`, calls
   the function of the API, and ends with `done(req, resp, to, "flash-code")`; the text is in `flashes.py`. An action
   that cannot be undone asks for confirmation: a page at the same address (`on_get` with the macro `confirm`).
5. Test it: add it to PAGES of `tests/integration/dashboard/test_pages.py`, which checks headers, access and hostile
   content on every page, and to `tests/browser/`, which checks accessibility (axe) and the console in Chromium.
"""

from __future__ import annotations

# The first segments of the paths of pages. Paths below them need a session, even if no page is there.
SECTIONS = frozenset(
    {"", "audit", "callbacks", "clients", "destinations", "docs", "domains", "failures", "history", "inbox", "keys"}
    | {"live", "login", "logout", "notifications", "pauses", "providers", "static", "suppressions", "switch"}
    | {"templates"}
)
# The first segments of the other paths.
API_SECTIONS = frozenset({"api", "healthz", "metrics", "openapi.json", "readyz", "u"})
_NAMED = SECTIONS - {""}
# These need no session.
OPEN = frozenset({"docs", "login", "static"})


def section(path: str) -> str:
    """Return the first segment of a path."""
    return path.split("/", 2)[1] if path.startswith("/") else ""


def serves(path: str) -> bool:
    """Return whether a path belongs to the dashboard and not to the API."""
    return path == "/" or section(path) in _NAMED
