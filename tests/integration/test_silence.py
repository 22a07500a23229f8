"""A provider that accepts notifications and stops reporting is detected."""

from __future__ import annotations

import pytest

from db import incoming_reports, silence
from db.database import rows
from db.incoming_reports import Incoming

pytestmark = pytest.mark.usefixtures("store")


def reported(ago: float) -> None:
    id = incoming_reports.store(Incoming("post", b"{}", None, []))
    rows("UPDATE reports SET received_at = now() - %s * interval '1 second' WHERE id = %s", ago, id)


def sent(number: int, ago: float = 3_600, provider: str = "post") -> None:
    rows(
        "INSERT INTO history (client_id, dimension, hour, value, outcome, class, number)"
        " VALUES (0, 'provider', now() - %s * interval '1 second', %s, 'sent', 1, %s)",
        *(ago, provider, number),
    )


def test_a_provider_whose_reports_stop_while_it_sends_is_silent() -> None:
    reported(silence.WINDOW + 60)
    sent(silence.ENOUGH)
    found = silence.silent("post")
    assert found is not None
    assert found.sent == silence.ENOUGH


def test_a_provider_that_reports_is_not_silent() -> None:
    reported(silence.WINDOW + 60)
    reported(silence.WINDOW - 60)
    sent(silence.ENOUGH)
    assert silence.silent("post") is None


def test_a_provider_that_sends_little_or_never_reported_is_not_silent() -> None:
    sent(silence.ENOUGH)
    assert silence.silent("post") is None
    reported(silence.WINDOW + 60)
    rows("DELETE FROM history")
    sent(silence.ENOUGH - 1)
    sent(silence.ENOUGH, provider="other")
    sent(silence.ENOUGH, silence.WINDOW + 3_600)
    assert silence.silent("post") is None
