"""Attempts without an answer that evidence settles: a provider is asked, or recognises the repetition."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from uuid import uuid4

import pytest

from actors.channels.email import identity
from actors.delivery import Again
from actors.look_ups import AT_ONCE, LookUps
from actors.reports.keys import ReportKeys
from actors.reports.reader import ReportReader
from actors.unanswered import Unanswered
from db import lifecycle, providers, reports
from db.database import rows
from settings import Settings
from tests import loops
from tests.environment import configured
from tests.integration.delivering import Process
from tests.integration.rows import CLIENT, GRACE, draft, history, row, status
from tests.providers.apis import URLS, Fake
from tests.providers.server import Server, answering, reset_after

NONE = {"BREAKER_THRESHOLD": 10_000}


class Provider:
    """A worker process with one provider, whose fake loses its answers as a test wants."""

    def __init__(self, kind: str, made: ExitStack, keys: ReportKeys, **settings: object) -> None:
        self.fake, self.keys = Fake(kind), keys
        self.server = made.enter_context(Server(self.fake))
        url = f"{URLS[kind]}?endpoint={self.server.url}"
        self.settings = made.enter_context(
            configured(mail_from="noreply@example.com", provider_a=url, **{k.lower(): v for k, v in settings.items()})
        )
        self.process = Process(self.settings, uuid4())
        made.callback(self.process.close)
        providers.report("a", {"channel": "email"})
        queues = self.process.delivery.queues
        self.look_ups = LookUps({q.name: q.sources.look_up for q in queues if q.sources.look_up}, loops.run)
        self.unanswered = Unanswered(self.settings, [q for q in queues if q.sources.replay_within])

    def accept(self, count: int, hold: str = "hold") -> list[int]:
        drafts = [draft(f"{n}@example.com")._replace(on_uncertain=hold) for n in range(count)]
        return [a.id for a in lifecycle.accept(drafts, GRACE)]

    def deliver(self, ids: list[int]) -> None:
        with suppress(Again):
            self.process.deliver(ids)

    def ask(self) -> None:
        """Let a worker ask, as if the time for it had come, and read what it has found."""
        rows("UPDATE look_ups SET due_at = now()")
        rows("UPDATE providers SET look_up_after = NULL")
        self.look_ups.turn()
        ReportReader(self.keys).turn()

    def repeat(self, ids: list[int]) -> None:
        """Let upkeep repeat what it can, as if the delay had passed, and deliver it."""
        self.unanswered.turn()
        rows("UPDATE notifications SET next_attempt_at = now() WHERE next_attempt_at < evidence_until")
        self.deliver(ids)


@pytest.fixture
def made() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


@pytest.fixture
def keys(store: Settings, monkeypatch: pytest.MonkeyPatch) -> ReportKeys:
    keys = ReportKeys.load(store.reports)
    monkeypatch.setattr(identity.of_process, "identities", keys.identities(store.reports))
    return keys


@pytest.mark.parametrize(
    ("kind", "count"), [pytest.param("postmark", 1_000, marks=pytest.mark.long), ("postmark", 30), ("mailgun", 30)]
)
def test_mails_taken_without_an_answer_are_found_by_a_search_and_sent_once(
    made: ExitStack, keys: ReportKeys, kind: str, count: int
) -> None:
    provider = Provider(kind, made, keys, **NONE)
    provider.server.faults.extend([reset_after] * count)
    ids = provider.accept(count)

    for first in range(0, count, 50):
        provider.deliver(ids[first : first + 50])
    assert {status(id) for id in ids} == {"pending"}
    assert lifecycle.give_up(10) == []
    for _ in range(count // AT_ONCE):
        provider.ask()

    assert {status(id) for id in ids} == {"sent"}
    assert {tuple(history(id)) for id in ids} == {("uncertain",)}
    assert (len(provider.fake.sink), len(provider.fake.searches)) == (count, count)
    [attempt] = reports.attempts(ids[0], CLIENT)
    [(source, events)] = rows("SELECT source, events FROM reports WHERE id = %s", attempt["report_id"])
    assert (source, events[0]["kind"]) == ("look-up: a", "taken")
    assert events[0]["provider_message_id"] in {f"id-{number}" for number in range(1, count + 1)}


def test_a_search_that_lags_behind_proves_nothing_and_is_repeated(made: ExitStack, keys: ReportKeys) -> None:
    provider = Provider("postmark", made, keys)
    provider.fake.behind = 2
    provider.server.faults.append(reset_after)
    ids = provider.accept(1)

    provider.deliver(ids)
    for _ in range(2):
        provider.ask()
        assert status(ids[0]) == "pending"
    provider.ask()

    assert (status(ids[0]), row(ids[0])["delivery_status"]) == ("sent", None)


def test_a_mail_that_a_provider_never_took_fails_after_uncertain_wait(made: ExitStack, keys: ReportKeys) -> None:
    provider = Provider("postmark", made, keys)
    provider.server.faults.append(answering(500, b"who knows"))
    ids = provider.accept(1)

    provider.deliver(ids)
    provider.ask()
    assert (status(ids[0]), history(ids[0])) == ("pending", ["uncertain"])
    rows("UPDATE notifications SET evidence_until = now()")
    provider.unanswered.turn()

    assert (status(ids[0]), row(ids[0])["failure_reason"]) == ("failed", "outcome-unknown")


def test_a_mail_with_resend_is_not_sent_again_if_the_search_finds_it_first(made: ExitStack, keys: ReportKeys) -> None:
    provider = Provider("postmark", made, keys)
    provider.server.faults.append(reset_after)
    ids = provider.accept(1, hold="resend")

    provider.deliver(ids)
    provider.ask()

    assert (status(ids[0]), history(ids[0]), len(provider.fake.sink)) == ("sent", ["uncertain"], 1)


def test_a_provider_that_refuses_a_search_proves_nothing_and_is_not_asked_again_for_a_while(
    made: ExitStack, keys: ReportKeys
) -> None:
    provider = Provider("postmark", made, keys)
    provider.server.faults.extend([reset_after, reset_after, answering(429, b"slower")])
    ids = provider.accept(2)

    provider.deliver(ids)
    provider.ask()

    assert {status(id) for id in ids} == {"pending"}
    assert provider.fake.searches == []
    provider.look_ups.turn()
    assert provider.fake.searches == []


def test_without_a_source_of_evidence_hold_fails_at_once(made: ExitStack, keys: ReportKeys) -> None:
    provider = Provider("sendgrid", made, keys)
    provider.server.faults.append(reset_after)
    ids = provider.accept(1)

    provider.deliver(ids)

    assert (status(ids[0]), row(ids[0])["failure_reason"]) == ("failed", "outcome-unknown")


def test_with_uncertain_wait_0_hold_fails_at_once(made: ExitStack, keys: ReportKeys) -> None:
    provider = Provider("postmark", made, keys, UNCERTAIN_WAIT=0)
    provider.server.faults.append(reset_after)
    ids = provider.accept(1)

    provider.deliver(ids)

    assert (status(ids[0]), row(ids[0])["failure_reason"]) == ("failed", "outcome-unknown")


def test_a_provider_with_idempotency_keys_gets_a_held_mail_again_and_keeps_one_copy(
    made: ExitStack, keys: ReportKeys
) -> None:
    provider = Provider("resend", made, keys)
    provider.server.faults.append(reset_after)
    ids = provider.accept(1)

    provider.deliver(ids)
    assert status(ids[0]) == "pending"
    provider.deliver(ids)
    assert len(provider.server.requests) == 1
    provider.repeat(ids)

    assert (status(ids[0]), history(ids[0])) == ("sent", ["uncertain", "sent"])
    assert (len(provider.server.requests), len(provider.fake.sink)) == (2, 1)


def test_a_repetition_that_is_refused_proves_that_the_first_was_not_taken(made: ExitStack, keys: ReportKeys) -> None:
    provider = Provider("resend", made, keys)
    refused = {"statusCode": 422, "name": "missing_required_field", "message": "Missing subject"}
    provider.server.faults.extend([answering(500, b""), answering(422, refused)])
    ids = provider.accept(1)

    provider.deliver(ids)
    provider.repeat(ids)

    assert (status(ids[0]), row(ids[0])["failure_reason"]) == ("failed", "rejected")
    assert history(ids[0]) == ["uncertain", "refused"]


def test_repetitions_without_an_answer_end_as_outcome_unknown(made: ExitStack, keys: ReportKeys) -> None:
    provider = Provider("resend", made, keys)
    provider.server.faults.extend([answering(500, b"")] * 3 + [answering(503, b"")] * 50)
    ids = provider.accept(1)

    provider.deliver(ids)
    for _ in range(8):
        provider.repeat(ids)
        assert status(ids[0]) == "pending"
        rows("UPDATE providers SET opened_at = NULL, probe_after = NULL, wait = NULL")

    assert history(ids[0]).count("uncertain") == 3
    assert len(history(ids[0])) == 5
    rows("UPDATE notifications SET evidence_until = now() - interval '1 second'")
    provider.unanswered.turn()
    assert (status(ids[0]), row(ids[0])["failure_reason"]) == ("failed", "outcome-unknown")
    assert provider.fake.sink == []


def test_a_held_mail_goes_to_no_other_provider_when_its_own_was_removed(made: ExitStack, keys: ReportKeys) -> None:
    provider = Provider("resend", made, keys)
    provider.server.faults.append(reset_after)
    ids = provider.accept(1)

    provider.deliver(ids)
    rows("UPDATE notifications SET bound_provider = 'gone', next_attempt_at = now()")
    provider.deliver(ids)

    stored = row(ids[0])
    assert (stored["status"], len(provider.server.requests)) == ("pending", 1)
    assert "waits for gone" in stored["last_error"]
