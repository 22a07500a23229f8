"""Standard Webhooks: several signatures, both names of the headers, and what we sign ourselves."""

from __future__ import annotations

import pytest
from standardwebhooks.webhooks import Webhook

from actors.channels.webhook import signature
from actors.reports.providers import Forged, Received
from actors.reports.providers.standard_webhooks import verified_id
from tests.reports.requests import NOW, request
from tests.reports.resend import KEYS

BODY = b'{"type":"email.sent"}'


def signed(key: str, id: str = "msg_1", body: bytes = BODY) -> str:
    return Webhook(key).sign(id, NOW, body.decode())


def received(signatures: str, prefix: str = "svix", id: str = "msg_1", body: bytes = BODY) -> Received:
    stamp = str(int(NOW.timestamp()))
    return request(body, {f"{prefix}-id": id, f"{prefix}-timestamp": stamp, f"{prefix}-signature": signatures})


@pytest.mark.parametrize("prefix", ["svix", "webhook", "Svix", "Webhook"])
@pytest.mark.parametrize(
    "signatures",
    [
        signed(KEYS[0]),
        f"{signed(KEYS[2])} {signed(KEYS[1])}",
        f"v1a,AAAA {signed(KEYS[0])}",
        f"v1,AAAA  {signed(KEYS[1])} nonsense",
    ],
)
def test_one_of_several_signatures_by_one_of_several_keys_is_enough(prefix: str, signatures: str) -> None:
    assert verified_id(received(signatures, prefix), KEYS[:2]) == "msg_1"


@pytest.mark.parametrize(
    "signatures",
    [
        signed(KEYS[2]),
        signed(KEYS[0]).replace("v1,", "v1a,"),
        signed(KEYS[0]).replace("v1,", ""),
        signed(KEYS[0]).replace("v1,", "v1,v1,"),
        signed(KEYS[0])[:-1],
        signed(KEYS[0], id="msg_2"),
        signed(KEYS[0], body=BODY + b" "),
        " ".join(["v1,AAAA"] * 50 + [signed(KEYS[0])]),
        "v1,",
    ],
)
def test_a_wrong_signature_is_refused(signatures: str) -> None:
    with pytest.raises(Forged):
        verified_id(received(signatures), KEYS[:2])


@pytest.mark.parametrize("id", ["", "a b", "msg\n", "é", "\udcff", "x" * 201])
def test_an_id_that_is_not_plain_is_refused(id: str) -> None:
    with pytest.raises(Forged):
        verified_id(received(signed(KEYS[0]), id=id), KEYS)


def test_our_own_signatures_are_accepted() -> None:
    made = signature.headers("msg_3", int(NOW.timestamp()), BODY, KEYS[1:])

    assert verified_id(request(BODY, made), KEYS[:2]) == "msg_3"
    with pytest.raises(Forged):
        verified_id(request(BODY, made), KEYS[:1])
