"""Addresses to which callbacks may go, in every spelling."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.channels.webhook.networks import is_own, is_public

# By hand from RFC 6890 and its kin, as (network, first and last address are tried); not the product's own list.
INSIDE_4 = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4"),
    *("240.0.0.0/4", "255.255.255.255/32", "168.63.129.16/32"),
)
PUBLIC_4: tuple[str, ...] = (
    "1.1.1.1",
    "8.8.8.8",
    "93.184.215.14",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
)
PUBLIC_4 += ("172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "223.255.255.255", "168.63.129.15")
PUBLIC_6 = ("2606:4700:4700::1111", "2001:4860:4860::8888", "2a00:1450:4001:80b::200e", "2400:cb00::1")
# Each of these holds an IPv4 address, or stands for one.
WRAPPINGS: dict[str, Callable[[int], ipaddress.IPv6Address]] = {
    "mapped": lambda v4: ipaddress.IPv6Address(0xFFFF << 32 | v4),
    "compatible": ipaddress.IPv6Address,
    "translated": lambda v4: ipaddress.IPv6Address((0x64FF9B << 96) | v4),
    "translated locally": lambda v4: ipaddress.IPv6Address((0x64FF9B0001 << 80) | v4),
    "6to4": lambda v4: ipaddress.IPv6Address((0x2002 << 112) | (v4 << 80) | 1),
    "Teredo": lambda v4: ipaddress.IPv6Address((0x20010000 << 96) | (v4 ^ 0xFFFFFFFF)),
}
v4s = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("network", INSIDE_4)
def test_no_special_ipv4_is_public(network: str) -> None:
    inside = ipaddress.IPv4Network(network)
    assert not is_public(str(inside[0]))
    assert not is_public(str(inside[-1]))


@pytest.mark.parametrize("address", PUBLIC_4 + PUBLIC_6)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "ff0e::1"),
        *("100::1", "2001:db8::1", "2001:2::1", "2001:10::1", "3fff::1", "5f00::1", "4000::1", "2606:4700::1%eth0"),
    ],
)
def test_no_special_ipv6_is_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@given(v4=v4s)
@example(v4=0x7F000001)
@example(v4=0xA9FEA9FE)
@example(v4=0x5DB8D70E)
def test_an_internal_ipv4_address_embedded_in_ipv6_is_not_public(wrapping: str, v4: int) -> None:
    assert not is_public(str(WRAPPINGS[wrapping](v4)))


@given(v4=v4s)
def test_an_ipv4_address_is_public_only_if_the_standard_library_and_the_registry_agree(v4: int) -> None:
    ip = ipaddress.IPv4Address(v4)
    special = any(ip in ipaddress.IPv4Network(network) for network in (*INSIDE_4, "192.88.99.0/24"))
    assert is_public(str(ip)) == (ip.is_global and not special)


@given(v6=st.integers(0, 2**128 - 1))
def test_ipv6_is_public_only_within_global_unicast(v6: int) -> None:
    ip = ipaddress.IPv6Address(v6)
    if is_public(str(ip)):
        assert v6 >> 125 == 1
        assert ip.is_global
        assert not any((ip.is_private, ip.is_loopback, ip.is_link_local, ip.is_multicast, ip.is_reserved))
        assert ip.ipv4_mapped is None
        assert ip.sixtofour is None
        assert ip.teredo is None


def test_only_addresses_within_the_allowed_networks_are_our_own() -> None:
    allowed = (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00:1::/64"))
    assert is_own("10.1.2.3", allowed)
    assert is_own("fd00:1::5", allowed)
    assert not is_own("10.2.0.1", allowed)
    assert not is_own("::ffff:10.1.2.3", allowed)
    assert not is_own("10.1.2.3", ())
