"""Signatures, compared with the example of the standard and with another implementation."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time

from hypothesis import given
from hypothesis import strategies as st

from actors.channels.webhook.signature import headers, new_secret
from tests.processes import ROOT


@given(
    id=st.integers(1, 2**63 - 1), now=st.integers(0, 2**40), body=st.binary(), secrets=st.lists(st.binary(min_size=24))
)
def test_each_secret_signs_as_standard_webhooks_requires(id: int, now: int, body: bytes, secrets: list[bytes]) -> None:
    made = headers(f"msg_{id}", now, body, ["whsec_" + base64.b64encode(s).decode() for s in secrets])

    assert (made["webhook-id"], made["webhook-timestamp"]) == (f"msg_{id}", str(now))
    signatures = made["webhook-signature"].split()
    assert len(signatures) == len(secrets)
    for signature, secret in zip(signatures, secrets, strict=True):
        digest = hmac.new(secret, f"msg_{id}.{now}.".encode() + body, hashlib.sha256).digest()
        assert signature == "v1," + base64.b64encode(digest).decode()


def test_each_new_secret_is_random_and_of_the_required_length() -> None:
    first, second = new_secret(), new_secret()

    assert first != second
    assert first.startswith("whsec_")
    assert 24 <= len(base64.b64decode(first[6:], validate=True)) <= 64


def test_the_verification_code_in_the_documents_accepts_only_signed_callbacks() -> None:
    [code] = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs" / "callbacks.md").read_text(), flags=re.MULTILINE | re.DOTALL
    )
    defined: dict[str, object] = {}
    exec(code, defined)
    verified = defined["verified"]
    assert callable(verified)
    now, old, new = int(time.time()), new_secret(), new_secret()
    signed = headers("msg_1", now, b"{}", [new, old])

    assert verified(old, signed, b"{}")
    assert verified(new, signed, b"{}")
    assert not verified(new_secret(), signed, b"{}")
    assert not verified(new, signed, b"{ }")
    assert not verified(new, signed | {"webhook-id": "msg_2"}, b"{}")
    assert not verified(new, headers("msg_1", now - 301, b"{}", [new]), b"{}")
