"""What the pages in docs/setup/ tell the reader to write."""

from __future__ import annotations

import shlex

from tests.docs.blocks import blocks
from tests.processes import ROOT

PLACE = ROOT / "docs" / "setup"


def text(name: str) -> str:
    """Return a page."""
    return (PLACE / f"{name}.md").read_text()


def file(page: str, name: str) -> str:
    """Return a file that a page tells the reader to write."""
    [found] = [block.text for block in blocks(text(page)) if block.file == name]
    return found


def settings(page: str) -> dict[str, str]:
    """Return the settings of a page."""
    return dict(word.split("=", 1) for word in shlex.split(file(page, "settings.env"), comments=True))
