"""A headless Chromium, the distribution's own, and pages whose console must stay silent."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text()
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
PHONE = {"viewport": {"width": 375, "height": 740}, "has_touch": True, "is_mobile": True}
# WCAG 2.2, A and AA, and what else axe holds to be good.
# axe cannot run in a mail's sandboxed frame: it waits half a second for an answer, and Chromium may report an error.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
AUDIT = f"() => axe.run({{runOnly: {RULES}, iframes: false}})"

PATIENCE = 60_000  # milliseconds, for a busy machine

Open = Callable[..., Page]


# Not for the whole run: as long as Playwright is there, this thread has an event loop, and others want their own.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Skips where there is no Chromium; CHROMIUM may say where it is."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("Chromium is not installed: apt-get install chromium, or set CHROMIUM to its path")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:  # Each context has a user-data-dir of its own, made anew.
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium: Browser) -> Iterator[Open]:
    """Opens a URL in a browser of its own: `opened(url, color_scheme="dark", **PHONE)`.

    Fails in the end if the console has said an error, or a policy has stopped something; `blocked` are
    words of those that a test wants to see stopped.
    """
    contexts: list[BrowserContext] = []
    said: list[str] = []
    foreseen: list[str] = []

    def open_(url: str, blocked: Sequence[str] = (), **options: Any) -> Page:
        foreseen.extend(blocked)
        contexts.append(context := chromium.new_context(**options))
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(url)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not [text for text in said if not any(word in text for word in foreseen)]


def faults(page: Page) -> list[str]:
    """Return the violations that axe finds on a page."""
    page.evaluate(AXE)
    found = page.evaluate(AUDIT)["violations"]
    return [f"{v['id']}: {json.dumps([(n['target'], n['failureSummary']) for n in v['nodes']])}" for v in found]


def overflows(page: Page) -> bool:
    """Return True if a page is wider than its window."""
    return bool(page.evaluate("() => document.documentElement.scrollWidth > document.documentElement.clientWidth"))
