"""Parse REDIS_URL and check its options.

redis-py passes every option of a URL to its connection class, which fails at the first command if it does not know
the option. So the options are checked here, before anything starts. No message contains the URL, because of its
password.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote_to_bytes, urlsplit

# valkey:// is the form of valkey-py and some hosts for the same protocol.
PLAIN, TLS, UNIX = ("redis", "valkey"), ("rediss", "valkeys"), ("unix",)
SCHEMES = (*PLAIN, *TLS, *UNIX)
PORT = 6379
FEWEST_CONNECTIONS = 64  # a worker with 8 threads needs about 20; a command without a free connection fails
YES, NO = ("true", "yes", "1", "on"), ("false", "no", "0", "off")


class Wrong(ValueError):
    """REDIS_URL cannot be used. The message is a sentence that names the faulty part and the fix."""


@dataclass(frozen=True, slots=True)
class Address:
    """Address of one server. `options`: checked and converted arguments for redis-py's connection classes."""

    scheme: str
    options: Mapping[str, Any] = field(repr=False)


def parse(url: str) -> Address:
    """Parse redis://user:pass@host:6379/0, rediss://... or unix:///path?db=0.

    Raises:
        Wrong: The URL has a part that is unknown or cannot work.
    """
    parts = _split(url)
    given = options(parts.query, tls=parts.scheme in TLS, unix=parts.scheme in UNIX)
    place = _socket(parts) if parts.scheme in UNIX else _host(parts)
    user, colon, password = parts.netloc.rpartition("@")[0].partition(":")
    written = {"username": text(user, "user name"), "password": text(password, "password") if colon else ""}
    for name, value in {**{name: value for name, value in written.items() if value}, **_database(parts)}.items():
        if given.get(name, value) != value:
            raise Wrong(f"REDIS_URL has two values for {name}: remove the option ?{name}=")
        given[name] = value
    return Address(parts.scheme, {**given, **place})


def options(query: str, *, tls: bool, unix: bool = False) -> dict[str, Any]:
    """Check the options of a URL and convert their values."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in found:
            raise Wrong(f"REDIS_URL has the option {name!r} twice: give it once")
        found[name] = _converted(name, value, tls=tls, unix=unix)
    if found.get("ssl_keyfile") and not found.get("ssl_certfile"):
        raise Wrong("REDIS_URL has the option 'ssl_keyfile' without 'ssl_certfile': give both")
    return found


def text(quoted: str, what: str) -> str:
    """Decode the percent-encoding of a user name or password."""
    try:
        return unquote_to_bytes(quoted).decode()
    except UnicodeDecodeError:
        raise Wrong(f"REDIS_URL has a {what} that is not UTF-8: percent-encode its UTF-8 bytes") from None


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # Its message may quote the URL, including the password.
        parts = None
    # An @ in the options is the rest of a password that contains an unquoted question mark.
    if parts is None or "#" in url or ("@" in parts.query and "password=" not in parts.query):
        raise Wrong(
            "REDIS_URL is malformed: give redis://user:pass@host:6379/0, with a port from 0 to 65535 "
            "(in a password, write / as %2F, # as %23, ? as %3F and % as %25)"
        )
    return parts


def _host(parts: SplitResult) -> dict[str, Any]:
    if "," in (parts.hostname or ""):
        raise Wrong(
            "REDIS_URL names several hosts: give one (Redis Cluster is not supported), or for Sentinels "
            "redis+sentinel://host:26379,host:26379/mymaster/0"
        )
    return {"host": parts.hostname or "localhost", "port": parts.port or PORT}


def _socket(parts: SplitResult) -> dict[str, Any]:
    if parts.netloc.rpartition("@")[2] or not parts.path.strip("/"):
        raise Wrong("REDIS_URL does not name a socket: give unix:///absolute/path?db=0, with three slashes")
    return {"path": text(parts.path, "path")}


def _database(parts: SplitResult) -> dict[str, int]:
    number = "" if parts.scheme in UNIX else parts.path.strip("/")
    if not number:
        return {}
    if not _is_number(number):
        raise Wrong("REDIS_URL ends with a database that is not a number: give redis://host:6379/0")
    return {"db": int(number)}


def _converted(name: str, value: str, *, tls: bool, unix: bool) -> Any:
    if fix := REFUSED.get(name):
        raise Wrong(f"REDIS_URL has the option {name!r}, which cannot be used here: {fix}")
    if name.startswith("ssl_") and not tls:
        raise Wrong(f"REDIS_URL has the option {name!r} without TLS: write rediss://, or remove the option")
    known = OPTIONS | (ENCRYPTED if tls else {})
    if unix:
        known = {option: convert for option, convert in known.items() if option != "socket_keepalive"}
    if name not in known:
        raise Wrong(f"REDIS_URL has an unknown option {_shown(name)}: remove it, or use one of {', '.join(known)}")
    try:
        return known[name](value)
    except ValueError as error:
        raise Wrong(f"REDIS_URL has a wrong value for the option {name!r}: give {error}") from None


def _shown(name: str) -> str:
    # The name may be the rest of a password that contains an unquoted question mark.
    return repr(name) if re.fullmatch(r"[A-Za-z_-]{1,40}", name) else "with a strange name"


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdecimal() and int(value) < 2**31


def _number(low: float, high: float, kind: Callable[[str], float] = float) -> Callable[[str], float]:
    def convert(value: str) -> float:
        try:
            number = kind(value)
        except ValueError:
            number = -1
        if not low <= number <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return number

    return convert


def _index(value: str) -> int:
    if not _is_number(value):
        raise ValueError("the number of a database, for example db=0")
    return int(value)


def _switch(value: str) -> bool:
    if value.lower() not in (*YES, *NO):
        raise ValueError("true or false")
    return value.lower() in YES


def _choice(**choices: Any) -> Callable[[str], Any]:
    def convert(value: str) -> Any:
        # Celery and Python spell them CERT_NONE and so on.
        plain = value.lower().removeprefix("cert_")
        if plain not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return choices[plain]

    return convert


def _word(value: str) -> str:
    if not re.fullmatch(r"[!-~]+", value):
        raise ValueError("printable ASCII without spaces")
    return value


def _present(value: str) -> str:
    if not value:
        raise ValueError("a value, or remove the option")
    return value


def _file(value: str) -> str:
    if not Path(value).is_file():
        raise ValueError("the path of an existing file")
    return value


def _directory(value: str) -> str:
    if not Path(value).is_dir():
        raise ValueError("the path of an existing directory")
    return value


OPTIONS: dict[str, Callable[[str], Any]] = {
    "db": _index,
    "username": _present,
    "password": _present,
    "client_name": _word,
    "protocol": _choice(**{"2": 2, "3": 3}),
    "health_check_interval": _number(0, 86_400, int),
    "max_connections": _number(FEWEST_CONNECTIONS, 100_000, int),
    "socket_connect_timeout": _number(0.1, 60),
    "socket_keepalive": _switch,
    "socket_timeout": _number(0.2, 60),
}
ENCRYPTED: dict[str, Callable[[str], Any]] = {
    "ssl_ca_certs": _file,
    "ssl_ca_data": _present,
    "ssl_ca_path": _directory,
    "ssl_cert_reqs": _choice(none="none", optional="optional", required="required"),
    "ssl_certfile": _file,
    "ssl_check_hostname": _switch,
    "ssl_ciphers": _word,
    "ssl_keyfile": _file,
    "ssl_password": _present,
}
_BYTES = "remove it, because the answers of Redis must stay bytes"
_ONCE = "remove it, because a repeated command would enqueue or count twice"
_POOL = "remove it, because this system manages the connections itself"
# Options of redis-py that would break this system, and options of other clients.
REFUSED = {
    **dict.fromkeys(("decode_responses", "encoding", "encoding_errors", "errors", "charset"), _BYTES),
    **dict.fromkeys(("retry", "retry_on_timeout", "retry_on_error"), _ONCE),
    **dict.fromkeys(
        ("connection_class", "connection_pool", "connection_pool_class", "single_connection_client"), _POOL
    ),
    **dict.fromkeys(("parser_class", "cache", "cache_config", "legacy_responses"), _POOL),
    **dict.fromkeys(("ssl", "tls"), "remove it, and write rediss:// for TLS"),
    "timeout": "use socket_timeout, or the setting REDIS_TIMEOUT",
    "family": "remove it, because IPv4 and IPv6 are both tried",
}
