"""Text version of a mail that has only HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser

HIDDEN = {"head", "script", "style", "template"}
BLOCKS = {f"h{level}" for level in range(1, 7)}
BLOCKS |= {"address", "article", "blockquote", "br", "dd", "div", "dl", "dt", "footer", "header", "hr", "li", "main"}
BLOCKS |= {"nav", "ol", "p", "pre", "section", "table", "tr", "ul"}


def of(html: str) -> str:
    """Return the text of an HTML document, with the target of each link behind its text."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.pieces).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


class _Reader(HTMLParser):
    """Collects the visible text."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._hidden: list[str] = []
        self._link = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in HIDDEN:
            self._hidden.append(tag)
        elif tag == "body":
            self._hidden.clear()
        elif tag in BLOCKS:
            self.pieces.append("\n")
        elif tag in ("td", "th"):
            self.pieces.append(" ")
        elif tag == "a":
            self._link = dict(attrs).get("href") or ""
        elif tag == "img":
            self.pieces.append(dict(attrs).get("alt") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in HIDDEN:
            if tag in self._hidden:
                del self._hidden[self._hidden.index(tag) :]
        elif tag == "a" and self._link.startswith(("http:", "https:", "mailto:")):
            self.pieces.append(f" ({self._link.removeprefix('mailto:')})")
            self._link = ""
        elif tag in BLOCKS:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(re.sub(r"\s+", " ", data))
