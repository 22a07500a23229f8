"""Settings of sending domains: what they mean, and what is refused."""

from __future__ import annotations

import pytest

from actors.channels.email.domains.keys import make
from runtime.sealing import CannotOpen, Sealer
from settings import SettingsError, read
from settings.domains import DomainSettings

ONE, OTHER = "a" * 32, "b" * 32


def said(**environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(environ)
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("", None),
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("127.0.0.1:5353", ("127.0.0.1", 5353)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("[2001:db8::53]:5353", ("2001:db8::53", 5353)),
    ],
)
def test_the_dns_server_is_an_address_with_or_without_a_port(given: str, meant: tuple[str, int] | None) -> None:
    assert read({"DNS_SERVER": given}).domains.dns_address == meant


@pytest.mark.parametrize(
    "given", ["dns.example.com", "192.0.2.53:", "192.0.2.53:0", "192.0.2.53:65536", "1.2.3:٣", ":53"]
)
def test_a_malformed_dns_server_is_refused(given: str) -> None:
    assert said(DNS_SERVER=given).startswith(f"DNS_SERVER is {given!r}: give an IP address")


@pytest.mark.parametrize("given", ["short", f"{ONE},short"])
def test_a_short_secret_is_refused_without_repeating_it(given: str) -> None:
    sentence = said(DOMAIN_KEYS_SECRET=given)

    assert sentence.startswith("DOMAIN_KEYS_SECRET must have at least 32 characters")
    assert "short" not in sentence


@pytest.mark.parametrize("given", ["spf", "include:_spf.example.net", "v=spf1 -all"])
def test_an_spf_include_that_is_no_domain_is_refused(given: str) -> None:
    assert said(SPF_INCLUDE=given).startswith("SPF_INCLUDE is ")


def test_labels_with_an_underscore_are_allowed_for_spf() -> None:
    assert read({"SPF_INCLUDE": "_spf.example.net"}).domains.spf_include == "_spf.example.net"


def test_the_first_secret_encrypts_and_all_decrypt() -> None:
    old = Sealer([ONE], "x").seal(b"key")
    both = Sealer([OTHER, ONE], "x")

    assert both.open(old) == b"key"
    assert Sealer([OTHER], "x").open(both.seal(b"key")) == b"key"


@pytest.mark.parametrize("sealer", [Sealer([OTHER], "x"), Sealer([ONE], "y")])
def test_a_different_secret_or_purpose_decrypts_nothing(sealer: Sealer) -> None:
    with pytest.raises(CannotOpen):
        sealer.open(Sealer([ONE], "x").seal(b"key"))


def test_a_changed_ciphertext_is_not_decrypted() -> None:
    sealed = bytearray(Sealer([ONE], "x").seal(b"key"))
    sealed[20] ^= 1

    with pytest.raises(CannotOpen):
        Sealer([ONE], "x").open(bytes(sealed))


def test_without_a_secret_no_key_is_created() -> None:
    with pytest.raises(SettingsError, match="DOMAIN_KEYS_SECRET is not set"):
        make(["ed25519"], DomainSettings())


def test_the_repr_of_the_settings_does_not_contain_the_secret() -> None:
    assert ONE not in repr(DomainSettings(keys_secret=ONE))
