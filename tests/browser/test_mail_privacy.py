"""A mail that is shown in the dashboard makes no network connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from playwright.sync_api import Browser, Page

from cli.servers.valkey import Valkey
from tests.browser.conftest import PATIENCE
from tests.furnishing import failed
from tests.integration.api import Api, running

pytestmark = pytest.mark.long

# {to} is a place where somebody listens. Each is a mail of its own, so that none hides what another one does.
MAILS = [
    *("<iframe src='{to}'></iframe>", "<IFRAME/SRC={to}>", "<iframe srcdoc=\"<img src='{to}'>\"></iframe>"),
    *("<frameset><frame src='{to}'></frameset>", "<object data='{to}'></object>", "<embed src='{to}'>"),
    *("<link rel=preconnect href='{to}'>", "<link rel=dns-prefetch href='{to}'>", "<link rel=prefetch href='{to}'>"),
    *("<link rel=stylesheet href='{to}'>", "<link rel=icon href='{to}'>", "<link rel=prerender href='{to}'>"),
    *("<link rel=modulepreload href='{to}'>", "<link rel=manifest href='{to}'>", "<LiNk\nrel=preconnect\nhref={to}>"),
    *("<link rel='preload' as=image href='{to}'>", "<link rel=preload as=image imagesrcset='{to} 1x'>"),
    *("<meta http-equiv=refresh content='0;url={to}'>", "<meta http-equiv=refresh content='0; {to}'>"),
    *("<base href='{to}'><img src=a>", "<form action='{to}'><input name=a autofocus></form>"),
    *("<img src='{to}'>", "<img srcset='{to} 1x'>", "<picture><source srcset='{to}'><img></picture>"),
    *("<video poster='{to}'></video>", "<video src='{to}' autoplay></video>", "<audio src='{to}' preload></audio>"),
    *("<video><track src='{to}' default></video>", "<input type=image src='{to}'>", "<body background='{to}'>"),
    *(
        "<table background='{to}'><tr><td>a</table>",
        "<style>@import '{to}';</style>",
        "<style>@import url({to});</style>",
    ),
    *("<p style='background: url({to})'>a", "<style>p {{ background: image-set('{to}' 1x) }}</style><p>a"),
    *("<style>@font-face {{ font-family: a; src: url({to}) }} p {{ font-family: a }}</style><p>a",),
    *("<p style='cursor: url({to}), auto'>a", "<style>p:after {{ content: url({to}) }}</style><p>a"),
    *("<svg><use href='{to}#a'/></svg>", "<svg><image href='{to}'/></svg>", "<svg><image xlink:href='{to}'/></svg>"),
    *(
        "<svg><feImage href='{to}'/></svg>",
        "<svg><filter id=a><feImage href='{to}'/></filter><rect filter='url(#a)'/></svg>",
    ),
    *(
        "<svg><foreignObject><iframe src='{to}'></iframe></foreignObject></svg>",
        "<svg><style>@import '{to}';</style></svg>",
    ),
    *("<math><mtext><iframe src='{to}'></iframe></mtext></math>", "<noscript><iframe src='{to}'></iframe></noscript>"),
    *("<template><iframe src='{to}'></iframe></template>", "<textarea></textarea><iframe src='{to}'>"),
    *("<title></title><iframe src='{to}'></iframe>", "<!--><iframe src='{to}'></iframe>-->", "<iframe\fsrc='{to}'>"),
    *(
        "<portal src='{to}'></portal>",
        "<fencedframe src='{to}'></fencedframe>",
        "<applet archive='{to}' code=a></applet>",
    ),
    *("<script src='{to}'></script>", '<script type=speculationrules>{{"prefetch":[{{"urls":["{to}"]}}]}}</script>'),
    *("<a href='{to}' ping='{to}'>away</a>", "<svg><a xlink:href='{to}'><text y=20>away</text></a></svg>"),
    *("<svg><a><animate attributeName=href values='{to}' fill=freeze dur=1ms /><text y=20>away</text></a></svg>",),
    *("<svg><a><set attributeName=href to='{to}'/><text y=20>away</text></a></svg>",),
    *("<map name=a><area href='{to}' shape=default></map><img usemap=#a width=99 height=99>",),
]
HOVERED = "a, area, input, svg text, img"


class Somebody:
    """Listens, and counts who comes."""

    def __init__(self) -> None:
        self.commit: list[str] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with closing(connection):
                self.commit.append("connection")

    def close(self) -> None:
        self._listening.close()


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url) as started:
        yield started


@pytest.fixture(scope="module")
def somebody() -> Iterator[Somebody]:
    with closing(Somebody()) as listening:
        yield listening


@pytest.fixture(scope="module")
def page(chromium: Browser) -> Iterator[Page]:
    with closing(chromium.new_context()) as context:
        context.set_default_timeout(PATIENCE)
        yield context.new_page()


def looked_at(page: Page, api: Api, id: int) -> None:
    """Look at the mail as a person does, move over it, and press what can be pressed."""
    page.goto(f"http://127.0.0.1:{api.port}/notifications/{id}")
    frame = page.frame_locator("iframe").first
    frame.locator("#end").wait_for()
    for one in frame.locator(HOVERED).all():
        if one.is_visible():
            one.hover(force=True)
            one.click(force=True, no_wait_after=True)
    # What was to be asked for by then has been: this is asked for behind it.
    page.goto(f"http://127.0.0.1:{api.port}/notifications/{id}")
    page.frame_locator("iframe").first.locator("#end").wait_for()


@pytest.mark.parametrize("mail", MAILS)
def test_a_displayed_mail_makes_no_connection(api: Api, page: Page, somebody: Somebody, mail: str) -> None:
    html = mail.format(to=f"http://127.0.0.1:{somebody.port}/")
    html += "<p id=end>the end"
    somebody.commit.clear()
    looked_at(page, api, failed(api.sql, "a", html=html))
    assert somebody.commit == []


def test_the_test_notices_a_connection_from_a_page(page: Page, somebody: Somebody) -> None:
    """Or the test above could not fail."""
    somebody.commit.clear()
    page.set_content(f"<iframe src='http://127.0.0.1:{somebody.port}/'></iframe>")
    page.wait_for_timeout(100)
    assert somebody.commit
