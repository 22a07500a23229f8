"""Text version of a mail that has only HTML.

The parser of the standard library takes a time that grows with the square of the length of some malformed documents.
What is here takes each character once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

HIDDEN = {"head", "script", "style", "template", "title"}
BLOCKS = {f"h{level}" for level in range(1, 7)}
BLOCKS |= {"address", "article", "blockquote", "br", "dd", "div", "dl", "dt", "footer", "header", "hr", "li", "main"}
BLOCKS |= {"nav", "ol", "p", "pre", "section", "table", "tr", "ul"}
_TAG = re.compile(r"<(/?[A-Za-z][A-Za-z0-9]*|[!?])([^<>]*)>")
_ATTRIBUTE = re.compile(r"""\b(href|alt)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"']+))""", re.IGNORECASE)


def of(html: str) -> str:
    """Return the text of an HTML document, with the target of each link behind its text."""
    lines = (" ".join(line.split()) for line in "".join(_pieces(_without_comments(html))).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def _pieces(html: str) -> Iterator[str]:
    hidden, link, end = "", "", 0
    for tag in _TAG.finditer(html):
        if not hidden:
            yield _shown(html[end : tag.start()])
        end, name = tag.end(), tag[1].lower()
        if hidden:
            # A forgotten </head> hides nothing of the body.
            hidden = "" if name == f"/{hidden}" or (name, hidden) == ("body", "head") else hidden
        elif name in HIDDEN:
            hidden = name
        elif name == "a":
            link = _attribute(tag[2], "href")
        elif name == "/a" and link.startswith(("http:", "https:", "mailto:")):
            yield f" ({link.removeprefix('mailto:')})"
            link = ""
        elif name == "img":
            yield _shown(_attribute(tag[2], "alt"))
        else:
            yield "\n" if name.removeprefix("/") in BLOCKS else " " * (name in ("td", "th"))
    if not hidden:
        yield _shown(html[end:])


def _shown(text: str) -> str:
    return re.sub(r"\s+", " ", unescape(text)) if text else ""


def _attribute(attributes: str, name: str) -> str:
    found = next((one for one in _ATTRIBUTE.finditer(attributes) if one[1].lower() == name), None)
    return unescape(found[2] or found[3] or found[4] or "").strip() if found else ""


def _without_comments(html: str) -> str:
    kept, end = [], 0
    while (begin := html.find("<!--", end)) >= 0:
        kept.append(html[end:begin])
        close = html.find("-->", begin)
        if close < 0:
            return "".join(kept)
        end = close + len("-->")
    return "".join([*kept, html[end:]])
