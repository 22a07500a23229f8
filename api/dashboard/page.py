"""Render pages with the values that every page needs."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from falcon.asgi import Request, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.dashboard import banner, flashes, forms, nav, phrases, visitor
from api.dashboard.assets import static
from api.http.problems import Problem

HTML = "text/html; charset=utf-8"

_pages = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "pages"),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
_pages.globals |= {"root": "", "static": static, "is_at": nav.is_at, "choices": phrases.choices}
_pages.filters |= phrases.FILTERS


def begin_links_with(prefix: str) -> None:
    """Put this path before all links of all pages."""
    _pages.globals |= {"root": prefix, "static": lambda name: prefix + static(name)}


def warm() -> None:
    """Compile all templates. Call it in a thread, because it would block the event loop."""
    for name in _pages.list_templates():
        _pages.get_template(name)


def show(req: Request, resp: Response, template: str, /, **values: Any) -> None:
    """Answer with this template. It also gets `me` (the Caller), `path`, `obstacles`, and `token` for its forms."""
    resp.content_type = HTML
    resp.text = render(template, **_frame(req, resp), **values)


def render(template: str, /, **values: Any) -> str:
    """Return a rendered template, which may be a part of a page."""
    return _pages.get_template(template).render(now=datetime.now(UTC), **values)


def refused(req: Request, resp: Response, template: str, problem: Problem, /, **values: Any) -> None:
    """Show the form again with its errors."""
    resp.status = problem.status.value
    show(req, resp, template, problem=problem, **values)


def done(req: Request, resp: Response, to: str, code: str, *numbers: int) -> None:
    """Redirect to the page that shows the result of an action: 303 See Other (RFC 9110, 15.4.4)."""
    flashes.put(req, resp, code, *numbers)
    resp.status = HTTPStatus.SEE_OTHER.value
    resp.location = to


def _frame(req: Request, resp: Response) -> dict[str, Any]:
    seen: visitor.Visitor | None = getattr(req.context, "visitor", None)
    me = seen.caller if seen else None
    found = getattr(req.context, "obstacles", None)
    secret = req.cookies.get(visitor.SESSION, "") or visitor.begin(req, resp)
    return {
        "me": me,
        "path": req.path,
        "obstacles": banner.seen_by(me, found) if me and found else None,
        "nav": nav.entries(me) if me else [],
        "logged_in": seen is not None and seen.digest is not None,
        "chooses": me is not None and visitor.may_choose(me),
        "token": forms.token(secret),
        "flash": flashes.take(req, resp),
    }
