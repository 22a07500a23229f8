"""The site: built without warnings, complete, and without resources of other servers."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.blocks import blocks, pages
from tests.docs.schemas import invalid
from tests.processes import ROOT

pytestmark = pytest.mark.long

# What a browser would fetch by itself.
FETCHED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}
NAMED = re.compile(r"`((?:tests|api|actors|db|cli|runtime|settings|docker|docs|benchmarks)/[\w./-]+\.\w+)`")
OPERATION = re.compile(r'"operationId": "(\w+)"')


class Page(HTMLParser):
    """The files that a page fetches, its links, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.fetched: set[str] = set()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        if tag in FETCHED and FETCHED[tag] in given:
            self.fetched.add(given[FETCHED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it, made of a copy."""
    place = tmp_path_factory.mktemp("site")
    source = place / "docs"
    # Sphinx resolves links of files, so these are no symbolic ones.
    shutil.copytree(ROOT / "docs", source, ignore=shutil.ignore_patterns("reference", "__pycache__"))
    for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, place)
    built = place / "built"
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", str(source), str(built)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return built


@pytest.fixture(scope="module")
def parsed(site: Path) -> dict[str, Page]:
    """Every page of it."""
    return {str(path.relative_to(site)): Page(path) for path in site.rglob("*.html")}


def test_the_site_contains_every_page(parsed: dict[str, Page]) -> None:
    written = {str(page.relative_to(ROOT / "docs").with_suffix(".html")) for page in (ROOT / "docs").glob("*.md")}

    assert written <= set(parsed)


def test_every_internal_link_has_an_existing_page_and_anchor(site: Path, parsed: dict[str, Page]) -> None:
    lost = []
    for name, page in parsed.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or not (parts.path or parts.fragment):
                continue
            target = (site / name).parent / unquote(parts.path) if parts.path else site / name
            there = parsed.get(str(target.resolve().relative_to(site.resolve())))
            if not target.exists() or (parts.fragment and there and unquote(parts.fragment) not in there.anchors):
                lost.append(f"{name}: {link}")
    assert lost == []


def test_the_site_loads_nothing_from_other_servers(site: Path, parsed: dict[str, Page]) -> None:
    foreign = {(name, what) for name, page in parsed.items() for what in page.fetched if urlsplit(what).netloc}
    styles = [path for path in site.rglob("*.css") if re.search(r"@import|url\(['\"]?(https?:)?//", path.read_text())]

    assert not foreign
    assert styles == []


def test_the_site_contains_no_markers_for_tests(site: Path) -> None:
    pages = [
        path for path in site.rglob("*.html") if re.search(r"<!-- *(not run|aside|file|schema):", path.read_text())
    ]

    assert pages == []


def test_every_operation_and_every_schema_is_explained(parsed: dict[str, Page]) -> None:
    document = (ROOT / "api" / "schemas" / "openapi.json").read_text()
    explained = set().union(*(page.anchors for name, page in parsed.items() if name.startswith("reference/")))

    assert {name.lower() for name in OPERATION.findall(document)} <= explained
    assert {"notificationinput", "notification", "problem"} <= parsed["reference/schemas.html"].anchors


@pytest.mark.parametrize("page", pages(ROOT), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    assert [name for name in NAMED.findall(page.read_text()) if not (ROOT / name).exists()] == []


def test_the_examples_of_the_reference_are_valid(site: Path) -> None:
    written = list((site.parent / "docs" / "reference").glob("*.md"))
    examples = [block for page in written for block in blocks(page.read_text()) if block.language == "json"]

    assert len(examples) > 100
    assert [fault for block in examples for fault in invalid(block.text, block.schema)] == []
