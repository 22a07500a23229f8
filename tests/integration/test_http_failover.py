"""Mail providers with an HTTP API beside each other: which one takes a mail, and when another one may send it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest

from settings import Settings
from tests.environment import configured
from tests.integration.delivering import Process
from tests.integration.rows import history, passed, row, status
from tests.integration.several_providers import accept, deliver
from tests.providers.apis import URLS, Fake
from tests.providers.server import Fault, Server, answer_cut_at, answering, reset_after


class Provider:
    """A fake provider of a kind, and the server that it is reached by."""

    def __init__(self, kind: str) -> None:
        self.kind, self.fake = kind, Fake(kind)
        self.server = Server(self.fake)

    def url(self, priority: int) -> str:
        return f"{URLS[self.kind]}?endpoint={self.server.url}&priority={priority}"


Make = Callable[..., tuple[Process, list[Provider]]]


@pytest.fixture
def made() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


@pytest.fixture
def make(store: Settings, made: ExitStack) -> Make:
    """Make a worker process with a provider of each of these kinds, the first one preferred."""

    def make(*kinds: str) -> tuple[Process, list[Provider]]:
        providers = [Provider(kind) for kind in kinds]
        for provider in providers:
            made.enter_context(provider.server)
        urls = {
            f"provider_{name}": each.url(n) for n, (name, each) in enumerate(zip("abc", providers, strict=False), 1)
        }
        with configured(mail_from="noreply@example.com", **urls) as current:
            process = Process(current, uuid4())
        made.callback(process.close)
        return process, providers

    return make


@pytest.mark.parametrize("kind", sorted(URLS))
def test_a_worker_sends_through_every_kind_of_provider(make: Make, kind: str) -> None:
    process, [provider] = make(kind)
    ids = accept(30)

    process.deliver(ids)

    assert {status(id) for id in ids} == {"sent"}
    assert sorted(taken.recipients[0] for taken in provider.fake.sink) == sorted(f"{n}@example.com" for n in range(30))
    assert len(provider.server.requests) == 30


@pytest.mark.parametrize(
    "fault",
    [
        *(answering(401, b"wrong key"), answering(402, b""), answering(403, b"suspended"), answering(301, b"")),
        answering(503, b"no healthy upstream"),
    ],
    ids=["401", "402", "403", "301", "503"],
)
def test_a_mail_that_a_provider_has_not_taken_goes_through_another_at_no_cost(make: Make, fault: Fault) -> None:
    process, [first, second] = make("postmark", "resend")
    first.server.faults.extend([fault] * 100)
    ids = accept(6)

    deliver(process, ids)
    for id in ids:
        deliver(process, [id])

    assert {status(id) for id in ids} == {"sent"}
    assert {(row(id)["attempt_count"], row(id)["retry_count"]) for id in ids} == {(1, 0)}
    assert (len(first.fake.sink), len(second.fake.sink)) == (0, 6)


def test_a_provider_that_accepts_no_connection_is_replaced_at_no_cost(make: Make) -> None:
    process, [first, second] = make("ses", "mailgun")
    first.server.refuse()
    ids = accept(6)

    deliver(process, ids)
    for id in ids:
        deliver(process, [id])

    assert {status(id) for id in ids} == {"sent"}
    assert {row(id)["attempt_count"] for id in ids} == {1}
    assert len(second.fake.sink) == 6


@pytest.mark.parametrize(
    "fault", [reset_after, answer_cut_at(0), answer_cut_at(40)], ids=["reset", "no answer", "cut off"]
)
def test_a_mail_that_a_provider_may_have_taken_goes_to_no_other_provider(make: Make, fault: Fault) -> None:
    process, [first, second] = make("resend", "postmark")
    first.server.faults.append(fault)
    [id] = accept(1)

    deliver(process, [id])

    assert (status(id), history(id), len(second.fake.sink)) == ("pending", ["uncertain"], 0)
    assert row(id)["bound_provider"] == "a"
    passed(3600, id)
    deliver(process, [id])
    assert (status(id), history(id)) == ("sent", ["uncertain", "sent"])
    # The key told Resend that it had the mail.
    assert (len(first.server.requests), len(first.fake.sink), len(second.fake.sink)) == (2, 1, 0)


def test_a_refused_mail_is_not_tried_through_another_provider(make: Make) -> None:
    process, [first, second] = make("postmark", "resend")
    first.server.faults.append(
        answering(422, {"ErrorCode": 406, "Message": "Found inactive addresses: 0@example.com."})
    )
    [id] = accept(1)

    deliver(process, [id])

    assert (status(id), row(id)["failure_reason"], len(second.fake.sink)) == ("failed", "rejected", 0)
    assert "inactive addresses" in row(id)["last_error"]


def test_a_mail_that_is_throttled_costs_no_attempt(make: Make) -> None:
    process, [provider] = make("resend")
    limited = {"statusCode": 429, "name": "rate_limit_exceeded", "message": "Too many requests"}
    provider.server.faults.extend([answering(429, limited, Retry_After="1")] * 2)
    ids = accept(3)

    deliver(process, ids)

    assert {status(id) for id in ids} == {"sent"}
    assert {row(id)["attempt_count"] for id in ids} == {1}
    assert len(provider.fake.sink) == 3
