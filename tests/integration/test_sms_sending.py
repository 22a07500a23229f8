"""Text messages sent through providers: their requests, and no repetition."""

from __future__ import annotations

import logging

import pytest

from actors.channels import Deferred, ProviderDown, Refused
from actors.channels.sms.provider import APIS
from settings import SettingsError
from tests.integration.texting import Texter, provider
from tests.providers.apis import SECRET
from tests.providers.server import Server, answering
from tests.providers.sms import QUOTED, TEXT, URLS, Fake, Taken, xml

KINDS = sorted(APIS)
OWN = {"twilio": "+15555550100", "vonage": "+15555550100", "sns": "", "sms+https": ""}


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_is_taken_and_the_receipt_has_the_providers_id(kind: str) -> None:
    with provider(kind) as (_, fake, texter):
        receipt = texter.send()

    assert (receipt.phase, receipt.reply_code) == ("answer", 201 if kind == "twilio" else 200)
    assert (receipt.message_id, receipt.text) == ("id-1", f"{receipt.reply_code} taken as id-1")
    assert fake.sink == [Taken("+41791234567", OWN[kind], "Hello")]


@pytest.mark.parametrize("kind", KINDS)
def test_many_messages_go_over_one_connection(kind: str) -> None:
    with provider(kind) as (server, fake, texter):
        for number in range(5):
            texter.send(TEXT._replace(id=number, message=f"Zoë\u2019s {number} 😜 & + % {{}}\r\n"))

        assert server.connections == 1
        assert [taken.body for taken in fake.sink] == [f"Zoë\u2019s {number} 😜 & + % {{}}\r\n" for number in range(5)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_sender_that_the_client_names_replaces_the_providers_own(kind: str) -> None:
    with provider(kind) as (_, fake, texter):
        texter.send(TEXT._replace(mail={"from": "+447700900000"}))

    assert fake.sink[0].sender == "+447700900000"


@pytest.mark.parametrize("kind", KINDS)
def test_every_attempt_posts_the_same_bytes(kind: str) -> None:
    with provider(kind) as (server, _, texter):
        texter.send()
        texter.send(TEXT._replace(retry_count=1, claim=2))

        first, second = server.requests
    timed = {"x-amz-date", "authorization"} if kind == "sns" else set()
    assert first.body == second.body
    assert {k: v for k, v in first.headers.items() if k not in timed} == {
        k: v for k, v in second.headers.items() if k not in timed
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_that_another_worker_has_claimed_is_not_posted(kind: str) -> None:
    with provider(kind) as (server, fake, texter):
        with pytest.raises(Deferred, match="another worker"):
            texter.send(begin=lambda: False)

        assert not server.requests
        assert not fake.sink


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_secret_means_that_the_provider_is_down(kind: str) -> None:
    fake = Fake(kind)
    with Server(fake) as server:
        texter = Texter(URLS[kind].replace(QUOTED, "wrong"), server.url)
        error = texter.failure()
        texter.hang_up()

    assert isinstance(error, ProviderDown)
    assert not fake.sink


def test_an_opt_out_names_the_pair_of_number_and_sender_to_suppress() -> None:
    with provider("twilio") as (server, _, texter):
        server.faults.append(answering(400, {"code": 21610, "message": "Attempt to send to unsubscribed recipient"}))
        told_by_twilio = texter.failure()
        server.faults.append(answering(400, {"code": 21211, "message": "Invalid number"}))
        invalid = texter.failure()
    with provider("sns") as (server, _, texter):
        server.faults.append(answering(400, xml("Error", Code="OptedOut", Message="opted out")))
        told_by_sns = texter.failure()

    for error, suppress in ((told_by_twilio, 1), (invalid, None), (told_by_sns, 1)):
        assert isinstance(error, Refused)
        assert error.suppress == suppress


@pytest.mark.parametrize("kind", KINDS)
def test_neither_logs_nor_representations_show_the_secret(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with provider(kind) as (_, _, texter):
        texter.send()

    assert SECRET not in f"{caplog.text} {texter.provider.account!r}"


def test_a_provider_whose_sender_is_malformed_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="the option from of PROVIDER_TEST must be"):
        Texter(f"{URLS['sns']}?from=0791234567", "http://127.0.0.1:9")
