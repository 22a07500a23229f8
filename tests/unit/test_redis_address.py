"""Every part of REDIS_URL: its effect, or the error message for unknown and invalid parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection

from actors.queue import redis_pools
from settings import SettingsError, examined, read, redis_address


def arguments(url: str, **environ: str) -> tuple[type, dict[str, Any]]:
    """The connection class, and what it is given besides our own time-outs and retries."""
    current = read({"REDIS_URL": url, **environ})
    made = redis_pools.pool(current.redis, current.redis.timeout)
    told = {"host", "port", "path", *redis_address.OPTIONS, *redis_address.ENCRYPTED} - {"socket_timeout"}
    kept = {name: value for name, value in made.connection_kwargs.items() if name in told}
    if kept.get("socket_connect_timeout") == current.redis.timeout:
        del kept["socket_connect_timeout"]
    return made.connection_class, kept


def said(url: str, **environ: str) -> str:
    with pytest.raises(SettingsError) as raised:
        read({"REDIS_URL": url, **environ})
    assert "hush" not in str(raised.value)
    return str(raised.value)


LOCAL = {"host": "localhost", "port": 6379}
HOST = {"host": "h", "port": 6379}


@pytest.mark.parametrize(
    ("url", "kind", "given"),
    [
        ("redis://h", Connection, HOST),
        ("redis://h/", Connection, HOST),
        ("redis://h/3", Connection, HOST | {"db": 3}),
        ("redis://h/3/", Connection, HOST | {"db": 3}),
        ("redis://h?db=3", Connection, HOST | {"db": 3}),
        ("redis://h/3?db=3", Connection, HOST | {"db": 3}),
        ("redis://h/99", Connection, HOST | {"db": 99}),  # the server says how many it has
        ("redis://:pw@h", Connection, HOST | {"password": "pw"}),
        ("redis://u:p%40%2F%23%25@h", Connection, HOST | {"username": "u", "password": "p@/#%"}),
        ("redis://u:gr%C3%BC%C3%9Fe@h", Connection, HOST | {"username": "u", "password": "grüße"}),
        ("redis://u@h?password=pw", Connection, HOST | {"username": "u", "password": "pw"}),
        ("redis://[::1]:7000", Connection, {"host": "::1", "port": 7000}),
        ("redis://", Connection, LOCAL),
        ("valkey://h", Connection, HOST),
        ("valkeys://h", SSLConnection, HOST),
        ("rediss://h?ssl_cert_reqs=none", SSLConnection, HOST | {"ssl_cert_reqs": "none"}),
        ("rediss://h?ssl_cert_reqs=CERT_NONE", SSLConnection, HOST | {"ssl_cert_reqs": "none"}),
        ("rediss://h?ssl_check_hostname=false", SSLConnection, HOST | {"ssl_check_hostname": False}),
        ("redis://h?protocol=2", Connection, HOST | {"protocol": 2}),
        ("redis://h?client_name=api-1", Connection, HOST | {"client_name": "api-1"}),
        ("redis://h?health_check_interval=30", Connection, HOST | {"health_check_interval": 30}),
        ("redis://h?socket_keepalive=yes", Connection, HOST | {"socket_keepalive": True}),
        ("redis://h?socket_connect_timeout=7", Connection, HOST | {"socket_connect_timeout": 7}),
        ("unix:///run/redis.sock", UnixDomainSocketConnection, {"path": "/run/redis.sock"}),
        ("unix:///run/a%20b.sock?db=2", UnixDomainSocketConnection, {"path": "/run/a b.sock", "db": 2}),
        (
            "unix://u:pw@/run/redis.sock",
            UnixDomainSocketConnection,
            {"path": "/run/redis.sock", "username": "u", "password": "pw"},
        ),
    ],
)
def test_each_option_of_a_redis_url_takes_effect(url: str, kind: type, given: dict[str, Any]) -> None:
    assert arguments(url) == (kind, given)


def test_a_missing_certificate_file_is_refused(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    assert "wrong value for the option 'ssl_ca_certs'" in said(f"rediss://h?ssl_ca_certs={authority}")
    authority.touch()
    assert arguments(f"rediss://h?ssl_ca_certs={authority}")[1]["ssl_ca_certs"] == str(authority)
    assert "'ssl_keyfile' without 'ssl_certfile'" in said(f"rediss://h?ssl_keyfile={authority}")
    assert arguments(f"rediss://h?ssl_ca_path={tmp_path}")[1]["ssl_ca_path"] == str(tmp_path)


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("nonsense=1", "unknown option 'nonsense'"),
        ("nonsense", "unknown option 'nonsense'"),
        ("DB=1", "unknown option 'DB'"),
        ("host=other", "unknown option 'host'"),
        ("family=6", "the option 'family', which cannot be used here: remove it, because IPv4 and IPv6"),
        ("ssl=true", "the option 'ssl', which cannot be used here: remove it, and write rediss://"),
        ("ssl_cert_reqs=", "the option 'ssl_cert_reqs' without TLS: write rediss://"),
        ("ssl_ca_certs=/etc/ca.pem", "the option 'ssl_ca_certs' without TLS"),
        ("decode_responses=true", "the option 'decode_responses', which cannot be used here"),
        ("decode_responses=false", "the option 'decode_responses', which cannot be used here"),
        ("encoding=latin-1", "the option 'encoding', which cannot be used here"),
        ("retry_on_timeout=true", "the option 'retry_on_timeout', which cannot be used here"),
        ("retry_on_error=OSError", "the option 'retry_on_error', which cannot be used here"),
        ("connection_class=X", "the option 'connection_class', which cannot be used here"),
        ("single_connection_client=1", "the option 'single_connection_client', which cannot be used here"),
        ("timeout=3", "the option 'timeout', which cannot be used here: use socket_timeout"),
        ("max_connections=10", "wrong value for the option 'max_connections': give a number from 64"),
        ("db=abc", "wrong value for the option 'db'"),
        ("db=-1", "wrong value for the option 'db'"),
        ("db=", "wrong value for the option 'db'"),
        ("db=1&db=2", "the option 'db' twice"),
        ("protocol=4", "wrong value for the option 'protocol': give one of 2, 3"),
        ("client_name=a%20b", "wrong value for the option 'client_name'"),
        ("health_check_interval=often", "wrong value for the option 'health_check_interval'"),
        ("health_check_interval=nan", "wrong value for the option 'health_check_interval'"),
        ("socket_keepalive=maybe", "wrong value for the option 'socket_keepalive'"),
        ("socket_timeout=0", "wrong value for the option 'socket_timeout'"),
        ("socket_timeout=nan", "wrong value for the option 'socket_timeout'"),
        ("username=", "wrong value for the option 'username'"),
    ],
)
def test_an_unknown_option_of_a_redis_url_stops_the_start_by_name(option: str, sentence: str) -> None:
    for separator in ("/0?", "?"):
        url = f"redis://u:hush-hush@h{separator}{option}".replace("/0?db", "?db")
        assert sentence in said(url)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("redis://h/abc", "REDIS_URL ends with a database that is not a number"),
        ("redis://h/0/x", "REDIS_URL ends with a database that is not a number"),
        ("redis://h/-1", "REDIS_URL ends with a database that is not a number"),
        ("redis://h/99999999999", "REDIS_URL ends with a database that is not a number"),
        ("redis://h/1?db=2", "REDIS_URL has two values for db"),
        ("redis://:hush@h?password=hush-hush", "REDIS_URL has two values for password"),
        ("redis://:hush#hush@h", "REDIS_URL is malformed"),
        ("redis://:hush/hush@h", "REDIS_URL is malformed"),
        ("redis://:hush?hush@h", "REDIS_URL is malformed"),
        ("redis://:12?hush@h", "REDIS_URL is malformed"),
        ("redis://:%FFhush@h", "REDIS_URL has a password that is not UTF-8"),
        ("redis://h:99999", "REDIS_URL is malformed"),
        ("redis://a,b/0", "REDIS_URL names several hosts"),
        ("redis+cluster://h", "REDIS_URL does not start with redis://"),
        ("unix://run/redis.sock", "REDIS_URL does not name a socket: give unix:///absolute"),
        ("unix://", "REDIS_URL does not name a socket"),
        ("unix:///s?socket_keepalive=1", "unknown option 'socket_keepalive'"),
        ("rediss://h?ssl_cert_reqs=", "wrong value for the option 'ssl_cert_reqs': give one of none, optional"),
        ("rediss://h?ssl_cert_reqs=maybe", "wrong value for the option 'ssl_cert_reqs'"),
        ("redis+sentinel://a/m?nonsense=1", "unknown option 'nonsense'"),
        ("redis+sentinel://a/m?sentinel_pass=hush", "unknown option 'sentinel_pass'"),
        ("redis+sentinel://a/m?decode_responses=1", "the option 'decode_responses', which cannot be used here"),
        ("redis+sentinel://a/m/1?db=1", "REDIS_URL has the option 'db', which cannot be used with Sentinels"),
        ("redis+sentinel://a/m?ssl_cert_reqs=none", "the option 'ssl_cert_reqs' without TLS"),
    ],
)
def test_an_invalid_part_of_a_redis_url_stops_the_start_with_a_message(url: str, sentence: str) -> None:
    assert sentence in said(url)


def test_sentinels_may_have_options_and_a_user_of_their_own() -> None:
    current = read(
        {"REDIS_URL": "rediss+sentinel://a/m/?sentinel_username=s&sentinel_password=p%26&ssl_cert_reqs=none&protocol=2"}
    )
    found = current.redis.sentinels
    assert found is not None
    assert (found.sentinel_user, found.sentinel_password) == ("s", "p&")
    assert found.options == {"ssl_cert_reqs": "none", "protocol": 2}
    made = redis_pools.pool(current.redis, current.redis.timeout)
    assert made.connection_kwargs["ssl_cert_reqs"] == "none"


def test_socket_timeout_in_the_url_sets_redis_timeout() -> None:
    assert read({"REDIS_URL": "redis://h?socket_timeout=7"}).redis.timeout == 7
    assert read({"REDIS_URL": "redis://h?socket_timeout=7", "REDIS_TIMEOUT": "7"}).redis.timeout == 7
    assert "REDIS_TIMEOUT differs" in said("redis://h?socket_timeout=7", REDIS_TIMEOUT="3")
    # A consumer waits in Redis for a second.
    assert "socket_timeout, which must be above 1" in said("redis://h?socket_timeout=0.5")


def test_a_short_timeout_also_bounds_connecting() -> None:
    current = read({"REDIS_URL": "redis://h?socket_connect_timeout=7"})
    made = redis_pools.pool(current.redis, 0.2).connection_kwargs
    assert (made["socket_timeout"], made["socket_connect_timeout"]) == (0.2, 0.2)


def test_a_worker_of_many_threads_has_enough_connections() -> None:
    current = read({"REDIS_URL": "redis://h"})
    assert redis_pools.pool(current.redis, 1).max_connections >= 1_000
    current = read({"REDIS_URL": "redis://h?max_connections=64"})
    assert redis_pools.pool(current.redis, 1).max_connections == 64


@pytest.mark.parametrize("name", ["a b", "a*", "a:", ":a", "a::b", "ä", "x" * 65, "a?"])
def test_a_namespace_must_be_fit_for_keys_and_command_lines(name: str) -> None:
    assert "REDIS_NAMESPACE is malformed" in said("redis://h", REDIS_NAMESPACE=name)


@pytest.mark.parametrize("name", ["dramatiq", "notify:staging", "{notify}", "a.b-c_d"])
def test_a_namespace_may_be_chosen(name: str) -> None:
    assert read({"REDIS_NAMESPACE": name}).redis.namespace == name


def test_a_wrong_url_is_reported_together_with_other_wrong_settings() -> None:
    _, wrong = examined({"REDIS_URL": "redis://h?nonsense=1", "LOGIN_RATE": "0"})
    assert len(wrong) == 2
