"""Encryption for browsers, against the example of RFC 8291 and the library of others."""

from __future__ import annotations

from base64 import urlsafe_b64decode

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from actors.channels.push.encryption import encrypted
from actors.channels.push.payloads import LIMITS
from actors.channels.push.subscription import Keys, auth_secret, public_key
from tests.providers.push_keys import BROWSER, encoded, public


def decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def private(number: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(decoded(number)), ec.SECP256R1())


def test_encryption_reproduces_the_example_of_rfc_8291() -> None:
    own = private("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")
    browser = private("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94")
    keys = Keys(public(browser), decoded("BTBZMqHH6r4Tts7J_aSIgg"))
    body = encrypted(b"When I grow up, I want to be a watermelon", keys, own, decoded("DGv6ra1nlYgDCS1FRnbzlw"))

    assert encoded(body) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3"
        "jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


@given(st.binary(max_size=LIMITS["webpush"]))
def test_another_library_decrypts_what_we_encrypt(text: bytes) -> None:
    keys = Keys(public_key(BROWSER.keys["p256dh"]), auth_secret(BROWSER.keys["auth"]))
    body = encrypted(text, keys)

    assert len(body) <= 4_096
    assert http_ece.decrypt(body, private_key=BROWSER.key, auth_secret=BROWSER.auth, version="aes128gcm") == text


def test_the_longest_text_fills_the_record_exactly() -> None:
    keys = Keys(public_key(BROWSER.keys["p256dh"]), auth_secret(BROWSER.keys["auth"]))

    assert len(encrypted(b"x" * LIMITS["webpush"], keys)) == 4_096


@pytest.mark.parametrize("padding", ["", "="])
def test_keys_are_read_with_and_without_padding(padding: str) -> None:
    assert public_key(BROWSER.keys["p256dh"] + padding) == public(BROWSER.key)


OFF_THE_CURVE = bytearray(public(BROWSER.key))
OFF_THE_CURVE[-1] ^= 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "not base64",
        encoded(public(BROWSER.key)[1:]),
        encoded(public(BROWSER.key) + b"\0"),
        encoded(b"\2" + public(BROWSER.key)[1:]),
        encoded(bytes(OFF_THE_CURVE)),
        encoded(b"\4" + b"\xff" * 64),
        encoded(b"\4" + b"\0" * 64),
        encoded(bytes(65)),
    ],
)
def test_a_key_that_is_no_point_on_the_curve_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be the key p256dh"):
        public_key(text)


@pytest.mark.parametrize("text", ["", "AAAA", encoded(b"x" * 15), encoded(b"x" * 17), "ä"])
def test_an_auth_secret_of_a_wrong_length_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be the key auth"):
        auth_secret(text)
