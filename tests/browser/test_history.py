"""The history in a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.servers.valkey import Valkey
from tests.browser.conftest import PHONE, Open, faults, overflows
from tests.furnishing import HOSTILE
from tests.integration.api import Api, running

pytestmark = pytest.mark.long

PAGES = (
    "/history",
    "/history?window=7d&by=tag",
    "/history?window=30d&by=client&clients=all",
    "/history?by=template",
    "/history?by=domain",
)


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url) as api:
        # Each hour of the last month has some: more by day, and a bad hour now and then.
        api.sql.rows(
            """
            INSERT INTO history (client_id, dimension, hour, value, outcome, class, number)
            SELECT client, dimension, date_trunc('hour', now(), 'UTC') - hour * interval '1 hour', value,
                   outcome, class, 1 + round(many * share * (1200 + 1000 * sin(hour * pi() / 12))
                                             * CASE WHEN class = 0 AND hour %% 50 = 3 THEN 30 ELSE 1 END)
            FROM generate_series(0, 719) AS hour,
                 (VALUES ('sent', 2, 0.7), ('sent', 4, 0.28), ('sent', 8, 0.02), ('failed', 0, 0.01),
                         ('reported', 0, 0.9), ('delivered', 0, 0.88), ('bounced', 0, 0.02), ('complained', 0, 0.001))
                     AS o (outcome, class, share),
                 (VALUES (1, 'type', 'email', 1), (0, 'type', 'email', 1), (0, 'client', '1', 1),
                         (1, 'domain', 'shop.example.com', 1),
                         (1, 'tag', 'welcome', 0.4), (1, 'tag', %s, 0.2), (1, 'tag', '', 0.1))
                     AS v (client, dimension, value, many)
            RETURNING 1
            """,
            HOSTILE,
        )
        yield api


def at(api: Api, path: str) -> str:
    return f"http://127.0.0.1:{api.port}{path}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_history_is_accessible_and_fits_a_phone(api: Api, opened: Open, scheme: str) -> None:
    page = opened(at(api, "/"), color_scheme=scheme, **PHONE)
    for path in PAGES:
        page.goto(at(api, path))
        assert (path, faults(page), overflows(page)) == (path, [], False)


def test_a_person_chooses_an_earlier_window_and_groups_by_tag(api: Api, opened: Open) -> None:
    page = opened(at(api, "/history"), java_script_enabled=False)
    page.get_by_role("link", name="30 days").click()
    page.get_by_role("link", name="tag", exact=True).click()
    assert page.get_by_role("row", name="welcome").is_visible()
    assert page.get_by_role("link", name="30 days").get_attribute("aria-current") == "true"
    chart = page.get_by_role("img", name="Sent, failed and cancelled notifications")
    bars = [box for rect in chart.locator(".part-sent").all() if (box := rect.bounding_box())]
    assert len(bars) == 30
    assert all(bar["height"] > 1 for bar in bars)
    page.get_by_role("link", name="All clients").click()
    assert page.get_by_role("heading", name="By tag").is_visible()
