"""Parse DATABASE_URL into parameters of libpq and settings of our sessions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, unquote

EXAMPLE = "give postgresql://user:pass@host:5432/name"
# In SQLAlchemy's form, the driver follows after a plus sign.
_SCHEME = re.compile(r"(?:postgresql|postgres)(?:\+[a-z0-9_]+)?")

CONFORMING = "standard_conforming_strings"
# The format in which this system reads and writes values depends on these settings, so they cannot be changed.
FIXED = {
    "client_encoding": "UTF8",
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    # The driver reads it when it connects, and quotes all later values accordingly.
    CONFORMING: "on",
    "extra_float_digits": "1",
    "array_nulls": "on",
    "default_transaction_isolation": "read committed",
    "transform_null_equals": "off",
}

_POOLS = "this system keeps one connection for each thread and has no pool to configure"
# Options of other programs that have no meaning here, with the reason.
IGNORED = {
    **dict.fromkeys(
        (
            *("connection_limit", "pool_timeout", "pool_size", "max_overflow", "pool_recycle", "pool_pre_ping"),
            *("max_connection_lifetime", "max_idle_connection_lifetime", "single_use_connections"),
        ),
        _POOLS,
    ),
    **dict.fromkeys(
        ("statement_cache_size", "prepared_statement_cache_size"), "statements are prepared only where that works"
    ),
    "socket_timeout": "set DB_STATEMENT_TIMEOUT instead",
    "fallback_application_name": "connections are named notification-system",
}

# Refused options, with the fix.
_INSTEAD = {
    "sslaccept": "write sslmode=verify-full&sslrootcert=/path/to/ca.pem, or sslmode=require to skip verification",
    "sslidentity": "write sslcert=/path/to/client.pem&sslkey=/path/to/client.key",
    "ssl": "write sslmode=require, or sslmode=verify-full with sslrootcert=/path/to/ca.pem",
    "currentSchema": "write schema=NAME",
    "dbname": "write the database's name after the host, as in postgresql://user:pass@host:5432/name",
    "replication": "remove it: this system sends queries, which a replication connection does not accept",
}
_DEFAULT_ADVICE = "remove it, or see libpq's list of options (a setting of the server goes into options=-cNAME%3DVALUE)"


class Malformed(Exception):
    """DATABASE_URL or PGOPTIONS cannot be used. The message gives the reason, and never contains a password."""


class Target(NamedTuple):
    """Parsed DATABASE_URL.

    `parameters`: for libpq. `connect_timeout`: seconds, 0 if not given. `session`: settings of the server to set in
    each session. `pooled`: the URL says that there is a pooler. `ignored`: options that have no meaning here.
    """

    parameters: dict[str, str]
    connect_timeout: int
    application_name: str
    session: dict[str, str]
    pooled: bool
    ignored: tuple[str, ...]


def parse(url: str, environ: Mapping[str, str]) -> Target:
    """Parse DATABASE_URL. libpq takes missing parameters from PG* variables, except PGOPTIONS, which is read here.

    Raises:
        Malformed: It is not a URL of PostgreSQL, or has an option that is unknown or not supported.
    """
    base, given = _split(url)
    known, session, ignored, pooled = _sorted(given)
    source = "DATABASE_URL" if "options" in known else "PGOPTIONS"
    asked, rest = _options(source, known.pop("options", environ.get("PGOPTIONS", "")))
    _merge(session, asked, source)
    _refuse_fixed(source, session)
    if rest or environ.get("PGOPTIONS"):
        known["options"] = rest  # An empty text keeps libpq from reading PGOPTIONS again.
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in known.items())
    parameters = _parameters(f"{base}?{query}" if query else base)
    seconds, name = parameters.pop("connect_timeout", "0"), parameters.pop("application_name", "")
    if not seconds.isdecimal():
        raise Malformed(f"DATABASE_URL has connect_timeout={_shown(seconds)}: give whole seconds, or 0")
    return Target(parameters, int(seconds), name, session, pooled, ignored)


def _split(url: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the URL up to its question mark, and its options, split as libpq does it."""
    scheme, found, rest = url.partition("://")
    if scheme.startswith("jdbc:"):
        raise Malformed(f"DATABASE_URL is in Java's form: remove `jdbc:`, and {EXAMPLE}")
    if not found or not _SCHEME.fullmatch(scheme):
        raise Malformed(f"DATABASE_URL does not start with postgresql://: {EXAMPLE}, or run `notify up`")
    credentials, at, place = rest.partition("@")
    if not at or "/" in credentials:
        credentials, at, place = "", "", rest
    place, _, query = place.partition("?")
    _check_place(place)
    return f"postgresql://{credentials}{at}{place}", [_pair(pair) for pair in query.split("&") if pair]


def _check_place(place: str) -> None:
    """Refuse a part of a password that libpq would take for a host or port, and quote in its errors."""
    hosts = place.partition("/")[0]
    if "@" in place:
        raise Malformed("DATABASE_URL has one @ too many: in a user or password, write @ as %40 and / as %2F")
    for host in hosts.split(","):
        port = host.rpartition("]")[2] if "]" in host else host
        _, colon, number = port.rpartition(":")
        if colon and not (number == "" or (number.isdecimal() and 1 <= int(number) <= 65_535)):
            raise Malformed(
                "DATABASE_URL has a port that is not a number from 1 to 65535: "
                "give host:5432 (in a password, write / as %2F and : as %3A)"
            )
        if host.count(":") > 1 and "[" not in host:
            raise Malformed("DATABASE_URL has an IPv6 address without brackets: give [::1]:5432")
    if "#" in place:
        raise Malformed("DATABASE_URL contains a #: write it as %23")


def _pair(pair: str) -> tuple[str, str]:
    name, equals, value = pair.partition("=")
    if not equals:
        raise Malformed(f"DATABASE_URL has an option without a value, {_shown(name)}: write NAME=VALUE")
    if re.search(r"%(?![0-9A-Fa-f]{2})|%00", pair):
        raise Malformed(f"DATABASE_URL is malformed in the option {_shown(unquote(name))}: write % as %25")
    return unquote(name), unquote(value)


def _sorted(given: list[tuple[str, str]]) -> tuple[dict[str, str], dict[str, str], tuple[str, ...], bool]:
    """Sort the options: libpq's own, settings of the session, ignored names, and whether there is a pooler."""
    known: dict[str, str] = {}
    session: dict[str, str] = {}
    ignored: list[str] = []
    pooled = False
    for name, value in given:
        if name in known or name in ignored:
            raise Malformed(f"DATABASE_URL has {name} twice: give it once")
        if name == "schema":
            _merge(session, {"search_path": quoted(value)})
        elif name == "search_path":
            _merge(session, {name: value})
        elif name == "pgbouncer":
            pooled = _boolean(name, value)
        elif name == "ssl" and value == "true":  # libpq itself accepts this form of JDBC.
            known["sslmode"] = "require"
        elif name == "client_encoding":
            _refuse_fixed("DATABASE_URL", {name: value})
        elif name in IGNORED:
            ignored.append(name)
        elif name in _INSTEAD or not _is_libpqs(name):
            raise Malformed(f"DATABASE_URL has an unknown option {_shown(name)}: {_INSTEAD.get(name, _DEFAULT_ADVICE)}")
        else:
            known[name] = value
    return known, session, tuple(ignored), pooled


def quoted(schema: str) -> str:
    """Return a schema's name quoted for search_path."""
    if not schema:
        raise Malformed("DATABASE_URL has an empty schema: write schema=NAME, or remove it")
    return '"' + schema.replace('"', '""') + '"'


def _boolean(name: str, value: str) -> bool:
    if value not in ("true", "false"):
        raise Malformed(f"DATABASE_URL has {name}={_shown(value)}: write {name}=true or {name}=false")
    return value == "true"


def _is_libpqs(name: str) -> bool:
    if not re.fullmatch(r"[a-z_]+", name):
        return False
    return _libpq(f"{name}=''")[0] is not None


def _options(source: str, text: str) -> tuple[dict[str, str], str]:
    """Return the settings in libpq's `options` (-c name=value, --name=value), and the remaining words."""
    session: dict[str, str] = {}
    rest: list[str] = []
    # Split as PostgreSQL does it: at spaces that have no backslash before them.
    words = iter(re.findall(r"(?:\\.|\S)+", text, re.DOTALL))
    for word in words:
        if word == "-c":
            setting = next(words, "")
        elif word.startswith(("-c", "--")):
            setting = word[2:]
        else:
            rest.append(word)
            continue
        name, equals, value = re.sub(r"\\(.)", r"\1", setting).partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][\w.-]*", name):
            raise Malformed(f"{source} has {_shown(word)} without NAME=VALUE in its options: write -cNAME=VALUE")
        session[name.lower().replace("-", "_")] = value
    return session, " ".join(rest)


def _merge(session: dict[str, str], more: Mapping[str, str], source: str = "DATABASE_URL") -> None:
    if "search_path" in session and "search_path" in more:
        twice = "gives the search_path twice" if source == "DATABASE_URL" else f"and {source} both give the search_path"
        raise Malformed(f"DATABASE_URL {twice}: write schema=NAME, or options, once")
    session.update(more)


def _refuse_fixed(source: str, session: dict[str, str]) -> None:
    """Remove settings that this system sets itself from `session`; refuse other values for them."""
    for name in [name for name in session if name in FIXED]:
        value = session.pop(name)
        if value.lower().replace("-", "") != FIXED[name].lower():
            raise Malformed(f"{source} sets {name} to {_shown(value)}, but this system needs {FIXED[name]}: remove it")


def _parameters(url: str) -> dict[str, str]:
    found, said = _libpq(url)
    if found is not None:
        return {name: str(value) for name, value in found.items()}
    # libpq's message quotes the URL, including the password.
    if "percent-encoded" in said or "%00" in said:
        raise Malformed(f"DATABASE_URL is malformed: {EXAMPLE} (in a password, write % as %25 and @ as %40)")
    if "IPv6" in said:
        raise Malformed("DATABASE_URL has an IPv6 address without a closing bracket: give [::1]:5432")
    raise Malformed(f"DATABASE_URL is malformed: {EXAMPLE}")


def _libpq(dsn: str) -> tuple[dict[str, object] | None, str]:
    """Return the parameters as libpq parses them, and an empty text; or None and libpq's error."""
    # Imported here, because most commands use only the API and start faster without the driver.
    import psycopg2.extensions  # noqa: PLC0415

    try:
        return psycopg2.extensions.parse_dsn(dsn), ""
    except psycopg2.ProgrammingError as error:
        return None, str(error)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}...")
