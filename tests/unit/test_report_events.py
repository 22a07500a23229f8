"""Events of providers: each that is documented becomes what docs/reports-providers.md says."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from settings.report_source import KINDS
from tests.processes import ROOT
from tests.reports.providers import PROVIDERS
from tests.reports.requests import NOW, TOKEN, Documented, Provider, shown

HOUR = timedelta(hours=1)
DOCUMENT = ROOT / "docs" / "reports-providers.md"
TITLES = {"ses": "Amazon SES", "sendgrid": "SendGrid", "sparkpost": "SparkPost"}
ALL = [(provider, one) for provider in PROVIDERS.values() for one in provider.documented]
IDS = [f"{provider.kind}: {one.name}" for provider, one in ALL]


def test_every_provider_with_webhooks_is_tested() -> None:
    assert sorted(PROVIDERS) == sorted(KINDS)


@pytest.mark.parametrize(("provider", "one"), ALL, ids=IDS)
def test_a_documented_event_is_read_as_documented(provider: Provider, one: Documented) -> None:
    assert shown(provider.read(provider.sign(one.payload, 0, NOW))) == one.becomes


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=list(PROVIDERS))
def test_the_document_lists_exactly_the_tested_events(provider: Provider) -> None:
    title = TITLES.get(provider.kind, provider.kind.capitalize())
    section = DOCUMENT.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE)[1:]
    listed = [(becomes, name) for becomes, names in rows for name in names.split("; ")]

    assert sorted(listed) == sorted((one.becomes, one.name) for one in provider.documented)


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=list(PROVIDERS))
def test_an_event_says_which_message_and_recipient_it_is_about_and_when(provider: Provider) -> None:
    events = [event for one in provider.documented for event in provider.read(provider.sign(one.payload, 0, NOW))]
    assert events
    for event in events:
        stopped = event.kind.endswith("subscribed") and " from " in (event.recipient or "")
        incoming = stopped and event.token is None
        assert incoming or (event.token == TOKEN and event.provider_message_id)
        assert stopped or event.recipient in {"ann@example.com", "+41791234567"}
        assert event.event_id
        assert (event.bounce_class is not None) == (event.kind == "bounced")
        # Twilio does not say when it happened.
        assert event.at is None if provider.kind == "twilio" else event.at and abs(event.at - NOW) <= HOUR


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=list(PROVIDERS))
def test_a_repeated_request_gives_the_same_events_with_the_same_ids(provider: Provider) -> None:
    for one in provider.documented:
        first, again = (provider.read(provider.sign(one.payload, key, NOW)) for key in (0, 1))
        assert first == again, one.name
