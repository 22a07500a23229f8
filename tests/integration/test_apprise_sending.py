"""Messages through Apprise, which makes its own connections and reports little."""

from __future__ import annotations

from unittest import mock

import pytest

from actors.channels import Deferred, Refused, Uncertain
from actors.channels.chat.apprise_service import AppriseService
from db import destinations
from db.destinations import New
from settings import SettingsError
from settings.chat import ChatSettings
from tests.hooks import Hooks, status
from tests.integration.calling import hooks
from tests.integration.chatting import Make, make, to

__all__ = ["hooks", "make"]

# Apprise imports a module of Python that is deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


def destination(url: str) -> None:
    destinations.create(New(1, "alerts", "apprise", url), 10)


def test_apprise_posts_the_message(make: Make, hooks: Hooks) -> None:
    destination(f"json://127.0.0.1:{hooks.port}/")
    receipt = make(apprise_services="json").send(to())
    [post] = hooks.posts
    assert (post.json["title"], post.json["message"]) == ("Disk", "is full")
    assert receipt.text == "Apprise has posted it to json"


@pytest.mark.parametrize("code", [400, 429, 500])
def test_a_message_that_apprise_does_not_report_as_sent_is_uncertain(make: Make, hooks: Hooks, code: int) -> None:
    hooks.answer = status(code)
    destination(f"json://127.0.0.1:{hooks.port}/secret")
    failed = make(apprise_services="json").failure(to())
    assert type(failed) is Uncertain
    assert "secret" not in str(failed)


def test_a_service_that_is_no_longer_allowed_is_not_used(make: Make, hooks: Hooks) -> None:
    destination(f"json://127.0.0.1:{hooks.port}/")
    refused = make(apprise_services="ntfys").failure(to())
    assert isinstance(refused, Refused)
    assert "APPRISE_SERVICES" in str(refused)
    assert not hooks.connections


def test_a_url_that_apprise_cannot_use_is_refused(make: Make) -> None:
    destination("pagerduty://")
    assert isinstance(make(apprise_services="pagerduty").failure(to()), Refused)


def test_a_second_url_in_a_url_is_not_called(make: Make, hooks: Hooks) -> None:
    destination(f"ntfy://127.0.0.1:9/topic,json://127.0.0.1:{hooks.port}/")
    make(apprise_services="ntfy").failure(to())
    assert not hooks.connections


def test_a_message_that_another_worker_has_claimed_is_not_sent(make: Make, hooks: Hooks) -> None:
    async def refuse() -> bool:
        return False

    destination(f"json://127.0.0.1:{hooks.port}/")
    with pytest.raises(Deferred, match="another worker"):
        make(apprise_services="json").send(to(), refuse)
    assert not hooks.connections


def test_a_worker_without_apprise_does_not_start_if_services_are_allowed() -> None:
    with mock.patch("importlib.util.find_spec", return_value=None):
        AppriseService(ChatSettings())
        with pytest.raises(SettingsError, match="pip install"):
            AppriseService(ChatSettings(apprise_services="ntfys"))


def test_malformed_services_stop_the_start() -> None:
    assert list(ChatSettings(apprise_services="https://x").faults())
    assert not list(ChatSettings(apprise_services=" ntfys,pagerduty , ").faults())
