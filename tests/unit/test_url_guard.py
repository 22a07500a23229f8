"""The URL of a callback endpoint: accepted forms, and the reasons for refusing others."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from actors.channels.webhook.url_guard import Target, UrlRejected
from settings.callbacks import Network

HOME = (ipaddress.ip_network("10.0.0.0/8"),)


def why(url: str, allowed: tuple[Network, ...] = ()) -> str:
    """The sentence with which it is refused."""
    with pytest.raises(UrlRejected) as rejected:
        Target.parse(url, allowed)
    return str(rejected.value)


@pytest.mark.parametrize(
    ("url", "target", "authority"),
    [
        ("https://example.com", ("https", "example.com", 443, "/"), "example.com"),
        ("https://EXAMPLE.com:8443/a/b?c=d&e", ("https", "example.com", 8443, "/a/b?c=d&e"), "example.com:8443"),
        ("https://example.com:443/%0d%0a", ("https", "example.com", 443, "/%0d%0a"), "example.com"),
        ("https://xn--exmple-cua.com/?", ("https", "xn--exmple-cua.com", 443, "/"), "xn--exmple-cua.com"),
        ("https://8.8.8.8/", ("https", "8.8.8.8", 443, "/"), "8.8.8.8"),
        ("https://[2606:4700::1]:8080/", ("https", "2606:4700::1", 8080, "/"), "[2606:4700::1]:8080"),
    ],
)
def test_a_url_is_parsed_into_its_parts(url: str, target: tuple[str, str, int, str], authority: str) -> None:
    found = Target.parse(url, ())
    assert found == target
    assert found.authority == authority


def test_plain_http_is_accepted_for_allowed_networks_only() -> None:
    assert Target.parse("http://10.1.1.1/x", HOME).port == 80
    assert Target.parse("http://internal/x", HOME).authority == "internal"
    assert why("http://10.1.1.1/x") == "must begin with https://"
    assert "https://" in why("http://8.8.8.8/", HOME)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        *((url, "must begin with https://") for url in ("example.com", "//example.com", "ftp://example.com", "a:b")),
        *(
            (url, "ASCII")
            for url in ("https://exämple.com", "https://a b.com", "https://a.com/\r\nX: y", "https://a\t.c")
        ),
        *((url, "ASCII") for url in ("https://a.com\\@b.com/", "https://a.com/" + "x" * 2_000, "https://a.com/\0", "")),
        *((url, "user") for url in ("https://u@a.com", "https://u:p@a.com", "https://@a.com", "https://a.com/#x")),
        *(
            (url, "valid host name")
            for url in ("https://", "https:///x", "https://a..b/", "https://.a/", "https://[::1%25e]/")
        ),
        *(
            (url, "valid host name")
            for url in ("https://a%2eb/", "https://a,b/", "https://" + "a" * 64, "https://" + "a." * 127)
        ),
        *((f"https://a.com:{port}/", "must use port 80, 443") for port in (1, 22, 25, 444, 1_023)),
        *(
            (url, "must be a URL")
            for url in ("https://a.com:99999/", "https://a.com:x/", "https://[::1", "https://[x]/")
        ),
        *((f"https://{ip}/", "not public") for ip in ("127.0.0.1", "10.1.1.1", "[::1]", "[::ffff:8.8.8.8]", "0.0.0.0")),
        ("https://169.254.169.254/latest/meta-data/", "not public"),
        ("https://a.com:0/", "must use port"),
        *((f"https://{ip}/", "not public") for ip in ("[64:ff9b::7f00:1]", "[::ffff:7f00:1]", "[fe80::1]", "[::]")),
        *((f"https://{host}/", "ASCII") for host in ("127\u30020\u30020\u30021", "\uff11\uff12\uff17.0.0.1")),
    ],
)
def test_an_unusable_url_is_refused_with_a_reason(url: str, reason: str) -> None:
    assert reason in why(url)


@pytest.mark.parametrize(
    "host",
    [
        *("127.1", "2130706433", "0x7f000001", "0X7F.1", "0177.0.0.1", "8.8.8.08", "8.8.8", "8.8.8.8.8"),
        *("127.0.0.1.", "8.8.8.8.", "a.0x", "a.1", "256.0.0.1"),
    ],
)
def test_an_ipv4_address_has_only_one_accepted_form(host: str) -> None:
    """Resolvers know many more, and programs do not agree which address they mean."""
    assert "four decimal numbers" in why(f"https://{host}/")
    assert "four decimal numbers" in why(f"http://{host}:8080/", HOME)


@given(url=st.text() | st.text().map("https://{}".format) | st.from_regex(r"https://[!-~]{1,40}", fullmatch=True))
def test_any_text_is_parsed_or_refused(url: str) -> None:
    try:
        target = Target.parse(url, ())
    except UrlRejected:
        return
    assert target.scheme == "https"
    assert not set("\r\n #\\") & set(target.authority + target.path)
    assert "@" not in target.authority  # In a path it is a letter like any other (RFC 3986, 3.3).
    assert str(URL(f"{target.scheme}://{target.authority}{target.path}", encoded=True).host) == target.host
    assert target.port in (80, 443) or 1_024 <= target.port < 65_536


@pytest.mark.parametrize("host", ["1.com", "0x7f.example.com", "a.b1", "1-1", "x0x1"])
def test_a_name_that_only_looks_like_a_number_is_a_name(host: str) -> None:
    assert Target.parse(f"https://{host}/", ()).host == host
