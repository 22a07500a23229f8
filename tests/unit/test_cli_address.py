"""The check of BIND before anything starts."""

from __future__ import annotations

import socket

import pytest

from cli.servers import StartError
from cli.up import address
from settings.http import HttpSettings


def _bound_to(bind: str) -> HttpSettings:
    return HttpSettings(bind=bind)


def test_a_taken_port_is_reported_with_the_next_free_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError) as refused:
            address.free(_bound_to(f"127.0.0.1:{port}"))

    assert str(refused.value) == (
        f"port {port} on 127.0.0.1 is in use: stop what uses it, or set BIND=127.0.0.1:{port + 1}"
    )


def test_port_0_is_replaced_by_a_free_port() -> None:
    host, _, port = address.free(_bound_to("127.0.0.1:0")).rpartition(":")

    assert host == "127.0.0.1"
    assert int(port) > 0


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(StartError, match=r"cannot listen on BIND=192\.0\.2\.1:8000"):
        address.free(_bound_to("192.0.2.1:8000"))


@pytest.mark.parametrize(
    ("bind", "url"),
    [
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("0.0.0.0:80", "http://127.0.0.1:80"),
        ("[::]:8000", "http://[::1]:8000"),
        ("[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_a_client_on_this_machine_gets_a_url_that_it_can_reach(bind: str, url: str) -> None:
    assert address.url(_bound_to(bind)) == url
