"""Configuration of Sphinx: `make docs`, or `sphinx-build -W --keep-going docs build/site`.

The site loads nothing from elsewhere (no CDN, web fonts or counters) and works from the file system.
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

import reference  # noqa: E402 - it is in this folder, which is not on the path by default

project = "Notification system"
author = "its authors"
copyright = "its authors, MIT licence"
release = version_of("notification-system")
version = release

extensions = ["myst_parser"]
myst_heading_anchors = 4
myst_enable_extensions = ["deflist", "attrs_block"]
exclude_patterns = ["_static"]
# Outputs contain `...` for varying parts, so they are not valid JSON.
suppress_warnings = ["misc.highlighting_failure"]
# Blocks without a language are outputs.
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

# Links of pages to files outside of docs/, and their pages on the site.
ELSEWHERE = {"../CHANGELOG.md": "changelog.md", "../CONTRIBUTING.md": "contributing.md"}

MARKER = re.compile(r"<!--.*?-->\n?", re.DOTALL)


def setup(app: Sphinx) -> None:
    """Connect the hooks below. Sphinx calls this function."""
    app.connect("builder-inited", _write_reference)
    app.connect("source-read", _lead_elsewhere)
    app.connect("html-page-context", _leave_out_markers)


def _write_reference(app: Sphinx) -> None:
    """Write the pages of the API reference into an empty folder."""
    folder = HERE / "reference"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, text in reference.pages().items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


def _lead_elsewhere(_app: Sphinx, _name: str, content: list[str]) -> None:
    for there, here in ELSEWHERE.items():
        content[0] = content[0].replace(f"]({there}", f"]({here}")


def _leave_out_markers(_app: Sphinx, _name: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    """Remove the comments that mark blocks for the tests."""
    context["body"] = MARKER.sub("", context.get("body", ""))
