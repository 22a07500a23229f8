"""Addresses to which a callback may go, by name, address and certificate: never internal ones."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest

from actors.channels import Deferred
from actors.channels.webhook.name_resolver import Lookup
from tests.conftest import TlsAuthority
from tests.hooks import Hooks, status
from tests.integration.calling import IMPATIENT, SECRET, Make, failure, hooks, make, to

__all__ = ["hooks", "make"]


# where it may go


def answering(*addresses: str) -> Lookup:
    """A resolver that gives these, whatever it is asked."""
    return lambda _host, port: [
        (socket.AF_INET6 if ":" in a else socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in addresses
    ]


@pytest.mark.parametrize(
    "addresses",
    [
        *(["127.0.0.1"], ["10.0.0.1"], ["169.254.169.254"], ["100.64.0.1"], ["0.0.0.0"], ["::1"], ["fe80::1"]),
        *(["fd00:ec2::254"], ["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"], ["2002:7f00:1::"], ["168.63.129.16"]),
        *(["93.184.215.14", "127.0.0.1"], ["127.0.0.1", "93.184.215.14"]),
    ],
    ids=str,
)
def test_no_host_name_that_resolves_to_an_internal_address_is_called(
    make: Make, monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", None)
    undelivered = failure(make(answering(*addresses), callback_allowed_networks=""), to("https://example.com/"))
    assert isinstance(undelivered, Deferred)
    assert "not public" in undelivered.receipt.text


def test_a_name_with_an_internal_address_gives_the_same_error_as_an_unknown_one(make: Make) -> None:
    """Or a client could ask the workers which names there are in their network."""

    def unknown(_host: str, _port: int) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    def none(_host: str, _port: int) -> Any:
        raise UnicodeError("label too long")

    told = [
        failure(make(look_up, callback_allowed_networks=""), to("https://redis.internal.example/"))
        for look_up in (answering("10.0.0.1"), answering("93.184.215.14", "::1"), answering(), unknown, none)
    ]
    assert len({(one.outcome, one.receipt, str(one)) for one in told}) == 1


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "127.0.0.1."])
def test_an_unusual_spelling_of_an_internal_address_is_refused(make: Make, hooks: Hooks, host: str) -> None:
    failure(make(callback_allowed_networks=""), to(f"https://{host}:{hooks.port}/"))
    assert not hooks.connections


def test_a_host_name_is_resolved_once_so_that_it_cannot_change(make: Make, hooks: Hooks) -> None:
    """DNS rebinding: first an address that may be, then one that may not."""
    asked: list[str] = []

    def rebinding(_host: str, port: int) -> Any:
        asked.append("")
        return answering("127.0.0.1" if len(asked) == 1 else "127.0.0.2")(_host, port)

    channel, callback = (
        make(rebinding, callback_allowed_networks="127.0.0.1/32"),
        to(f"http://rebinding.example:{hooks.port}/"),
    )
    channel.send(callback)
    assert len(asked) == 1
    assert hooks.posts[0].headers["host"] == f"rebinding.example:{hooks.port}"
    # And the next attempt is judged anew.
    assert "not public" in str(failure(channel, callback))


def test_plain_http_is_accepted_for_allowed_networks_only(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", None)
    undelivered = failure(make(answering("93.184.215.14")), to("http://example.com/"))
    assert "must begin with https://" in str(undelivered)


def test_a_network_that_is_no_longer_allowed_is_not_called(make: Make, hooks: Hooks) -> None:
    failure(make(callback_allowed_networks="10.0.0.0/8"), to(hooks.url))
    assert not hooks.connections


# TLS


def trusting(authority: TlsAuthority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.ca))


def test_tls_uses_the_host_name_of_the_url(make: Make, tls_authority: TlsAuthority) -> None:
    with Hooks(tls=tls_authority.context) as hooks:
        channel = make(answering("127.0.0.1"), trusting(tls_authority))
        channel.send(to(f"https://localhost:{hooks.port}/"))
        assert hooks.posts
        undelivered = failure(channel, to(f"https://other.example:{hooks.port}/"))
        assert (undelivered.outcome, undelivered.receipt.phase) == ("deferred", "tls")
        assert "certificate" in undelivered.receipt.text
        assert len(hooks.posts) == 1


def test_an_untrusted_certificate_is_not_accepted(make: Make, tls_authority: TlsAuthority) -> None:
    with Hooks(tls=tls_authority.context) as hooks:
        assert failure(make(), to(hooks.url)).receipt.phase == "tls"
        assert not hooks.posts


def test_a_tls_handshake_that_hangs_times_out(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        undelivered = failure(make(callback_timeout=IMPATIENT), to(url))
    assert (undelivered.outcome, undelivered.receipt.phase) == ("deferred", "tls")


def test_the_secret_is_in_no_log_and_no_error(
    make: Make, hooks: Hooks, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    hooks.answer = status(410)
    undelivered = failure(make(), to(hooks.url))
    captured = capfd.readouterr()
    assert SECRET not in f"{undelivered!r} {undelivered.receipt} {captured.out} {captured.err} {caplog.text}"
