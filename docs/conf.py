"""How the site is built: `make docs`, or `sphinx-build -W --keep-going docs build/site`.

Nothing of it is fetched by who reads it: no CDN, no web fonts, no counters. It works from the file system.
"""

from __future__ import annotations

import re
import shutil
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import reference  # noqa: E402 - it stands beside this file, where Sphinx does not look by itself

project = "Notification system"
author = "its authors"
copyright = "its authors, MIT licence"
release = version_of("notification-system")
version = release

extensions = ["myst_parser"]
myst_heading_anchors = 4
myst_enable_extensions = ["deflist", "attrs_block"]
exclude_patterns = ["_static"]
# What a command prints is shown with `...` for what is another each time, which is no JSON.
suppress_warnings = ["misc.highlighting_failure"]
# Blocks without a language are what a command printed.
highlight_language = "none"
pygments_style = "a11y-light"
pygments_dark_style = "a11y-dark"
nitpicky = True

html_theme = "furo"
html_title = f"Notification system {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options: dict[str, object] = {"top_of_page_buttons": []}

# What a page calls by its place in the repository, and where that is on the site.
ELSEWHERE = {"../CHANGELOG.md": "changelog.md", "../CONTRIBUTING.md": "contributing.md"}

MARKER = re.compile(r"<!--.*?-->\n?", re.DOTALL)
# A page that index.md names like this has its place, and need not be there.
PATTERN = re.compile(r"^([\w-]+\*)\n", re.MULTILINE)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("builder-inited", _write_reference)
    app.connect("source-read", _lead_elsewhere)
    app.connect("html-page-context", _leave_out_markers)


def _write_reference(app: Sphinx) -> None:
    """The pages of the API, anew each time: an operation that is gone leaves no page."""
    folder = HERE / "reference"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, text in reference.pages().items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


def _lead_elsewhere(_app: Sphinx, name: str, content: list[str]) -> None:
    for there, here in ELSEWHERE.items():
        content[0] = content[0].replace(f"]({there}", f"]({here}")
    if name == "index":
        content[0] = PATTERN.sub(lambda found: found[0] if [*HERE.glob(f"{found[1]}.md")] else "", content[0])


def _leave_out_markers(_app: Sphinx, _name: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    """What comments tell the tests of a block is nothing to who reads the site."""
    context["body"] = MARKER.sub("", context.get("body", ""))
