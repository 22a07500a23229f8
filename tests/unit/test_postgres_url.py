"""DATABASE_URL means what it says, or is refused with the option's name and what to write instead."""

from __future__ import annotations

import pytest
from psycopg2.extensions import parse_dsn

from settings import SettingsError, read
from settings.postgres_url import FIXED, Malformed, parse

SECRET = "hunter2"
BASE = f"postgresql://u:{SECRET}@h/d"
PLAIN = {"user": "u", "password": SECRET, "host": "h", "dbname": "d"}

HONOURED = {
    BASE: {},
    f"postgres://u:{SECRET}@h/d": {},
    f"postgresql+psycopg2://u:{SECRET}@h/d": {},
    f"postgresql+asyncpg://u:{SECRET}@h/d": {},
    f"postgresql://u:{SECRET}@h:5433/d": {"port": "5433"},
    f"postgresql://u:{SECRET}@[::1]:5433/d": {"host": "::1", "port": "5433"},
    f"postgresql://u:{SECRET}@a,b:5433/d?target_session_attrs=read-write": {
        "host": "a,b",
        "port": ",5433",
        "target_session_attrs": "read-write",
    },
    f"{BASE}?sslmode=verify-full&sslrootcert=%2Fca.pem&keepalives_idle=30&tcp_user_timeout=5000": {
        "sslmode": "verify-full",
        "sslrootcert": "/ca.pem",
        "keepalives_idle": "30",
        "tcp_user_timeout": "5000",
    },
    f"{BASE}?passfile=%2Fa%20b&service=s&gssencmode=disable": {
        "passfile": "/a b",
        "service": "s",
        "gssencmode": "disable",
    },
    f"{BASE}?ssl=true": {"sslmode": "require"},
    f"{BASE}?options=endpoint%3Dep-cool-1": {"options": "endpoint=ep-cool-1"},
    f"{BASE}?client_encoding=utf8": {},
}


@pytest.mark.parametrize("url", HONOURED)
def test_options_that_libpq_knows_are_passed_to_it(url: str) -> None:
    assert parse(url, {}).parameters == {**PLAIN, **HONOURED[url]}


@pytest.mark.parametrize(
    ("url", "parameters"),
    [
        (
            "postgresql:///d?host=%2Fvar%2Frun%2Fpostgresql&user=u",
            {"dbname": "d", "host": "/var/run/postgresql", "user": "u"},
        ),
        ("postgresql://u@%2Frun%2Fpg/d", {"dbname": "d", "host": "/run/pg", "user": "u"}),
        ("postgresql://u:@h/d", {"dbname": "d", "host": "h", "user": "u"}),
        (
            "postgresql://u%40x:p%25%2F%3A%3F%23@h/d%20e",
            {"dbname": "d e", "host": "h", "user": "u@x", "password": "p%/:?#"},
        ),
        ("postgresql://u:p?q@h/d", {"dbname": "d", "host": "h", "user": "u", "password": "p?q"}),
        ("postgresql://", {}),
    ],
)
def test_each_form_of_url_is_parsed_as_by_libpq(url: str, parameters: dict[str, str]) -> None:
    assert parse(url, {}).parameters == parameters == {k: v for k, v in parse_dsn(url).items() if v}


SESSIONS = {
    "options=-csearch_path%3Da": {"search_path": "a"},
    "options=-c%20search_path%3Da%2Cb%20--work-mem%3D8MB": {"search_path": "a,b", "work_mem": "8MB"},
    "options=-c%20search_path%3Da%5C%20b": {"search_path": "a b"},
    "options=-cstatement_timeout%3D5s%20-crole%3Dother": {"statement_timeout": "5s", "role": "other"},
    "options=-cTimeZone%3DUTC": {},
    "schema=x": {"search_path": '"x"'},
    "schema=My%22Own": {"search_path": '"My""Own"'},
    "search_path=a%2Cpublic": {"search_path": "a,public"},
}


@pytest.mark.parametrize("query", SESSIONS)
def test_settings_of_the_server_are_set_in_the_session(query: str) -> None:
    target = parse(f"{BASE}?{query}", {})
    assert (target.session, target.parameters) == (SESSIONS[query], PLAIN)


def test_options_of_prisma_take_effect_or_are_reported_as_ignored() -> None:
    target = parse(f"{BASE}?pgbouncer=true&schema=x&connection_limit=1&pool_timeout=0&connect_timeout=7", {})
    assert (target.pooled, target.connect_timeout, target.session) == (True, 7, {"search_path": '"x"'})
    assert target.ignored == ("connection_limit", "pool_timeout")
    assert target.parameters == PLAIN


def test_application_name_of_the_url_is_added_to_ours() -> None:
    assert parse(f"{BASE}?application_name=shop", {}).application_name == "shop"


def test_pgoptions_are_parsed_and_options_in_the_url_override_them() -> None:
    target = parse(BASE, {"PGOPTIONS": "-c search_path=a -c geqo=off"})
    assert target.session == {"search_path": "a", "geqo": "off"}
    assert target.parameters["options"] == ""  # libpq must not read them again
    assert parse(f"{BASE}?options=-cgeqo%3Don", {"PGOPTIONS": "-c search_path=a"}).session == {"geqo": "on"}
    with pytest.raises(Malformed, match=r"^PGOPTIONS sets timezone to 'Asia/Kolkata'"):
        parse(BASE, {"PGOPTIONS": "-c timezone=Asia/Kolkata"})


REFUSED = {
    f"{BASE}?nonsense=1": "an unknown option 'nonsense': remove it",
    f"{BASE}?sslMode=require": "an unknown option 'sslMode'",
    f"{BASE}?currentSchema=a": "an unknown option 'currentSchema': write schema=NAME",
    f"{BASE}?sslaccept=strict": "an unknown option 'sslaccept': write sslmode=verify-full&sslrootcert=",
    f"{BASE}?ssl=false": "an unknown option 'ssl': write sslmode=require",
    f"{BASE}?replication=database": "an unknown option 'replication': remove it",
    f"{BASE}?dbname=x": "an unknown option 'dbname': write the database's name after the host",
    f"{BASE}?pgbouncer=yes": "pgbouncer='yes': write pgbouncer=true or pgbouncer=false",
    f"{BASE}?schema=": "an empty schema",
    f"{BASE}?schema=a&options=-csearch_path%3Db": "gives the search_path twice",
    f"{BASE}?sslmode=require&sslmode=disable": "has sslmode twice",
    f"{BASE}?sslmode": "an option without a value, 'sslmode'",
    f"{BASE}?connect_timeout=2.5": "connect_timeout='2.5': give whole seconds",
    f"{BASE}?client_encoding=latin1": "sets client_encoding to 'latin1', but this system needs UTF8",
    f"{BASE}?options=-csearch_path": "'-csearch_path' without NAME=VALUE in its options",
    f"{BASE}?sslmode=%zz": "malformed",
    f"jdbc:{BASE}": "in Java's form: remove `jdbc:`",
    "host=h dbname=d": "does not start with postgresql://",
    f"mysql://u:{SECRET}@h/d": "does not start with postgresql://",
    f"postgresql://u:{SECRET}@x@h/d": "write @ as %40",
    f"postgresql://u:{SECRET}/x@h/d": "and / as %2F",
    f"postgresql://u:{SECRET}%zz@h/d": "write % as %25",
    f"postgresql://u:{SECRET}:h/d": "a port that is not a number",
    "postgresql://u@h:0/d": "a port that is not a number",
    "postgresql://u@::1/d": "without brackets: give [::1]:5432",
    "postgresql://u@[::1/d": "without a closing bracket: give [::1]:5432",
    f"postgresql://u:{SECRET}@h/d#x": "contains a #: write it as %23",
}


@pytest.mark.parametrize("url", REFUSED)
def test_an_option_that_cannot_be_honoured_stops_the_start_by_name(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^DATABASE_URL ") as refused:
        read({"DATABASE_URL": url})
    assert REFUSED[url] in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("name", FIXED)
def test_a_database_url_cannot_change_a_setting_that_the_system_needs(name: str) -> None:
    with pytest.raises(Malformed, match=f"sets {name} to 'other', but this system needs {FIXED[name]}: remove it"):
        parse(f"{BASE}?options=-c{name}%3Dother", {})
