"""Settings: documented, bounded, refused with a sentence that names them, and secrets stay secret."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settings import VARIABLES, Settings, SettingsError, read
from settings.sentinel_url import Sentinels
from tests.accounts import mail_server
from tests.processes import ROOT

FIELDS = {name: field for name, (_, field) in VARIABLES.items()}
NUMBERS = {name: field for name, field in FIELDS.items() if "low" in field.metadata}
CHOICES = {name: field for name, field in FIELDS.items() if "choices" in field.metadata}
# These go together, so each of them is tried with the others far from it.
TOGETHER = {"RETRY_MIN_BACKOFF": "0.001", "RETRY_MAX_BACKOFF": "604800", "WORKER_TIMEOUT": "3600"}
TOGETHER |= {
    "BODY_LIMIT": "1024",
    "UPKEEP_INTERVAL": "0.05",
    "LIST_BUDGET": "1",
    "STUCK_AFTER": "86400",
    "CALLBACK_MIN_BACKOFF": "0.001",
    "CALLBACK_MAX_BACKOFF": "604800",
}
NEVER = {("STUCK_AFTER", "low")}  # nothing is below it
DOCUMENTS = ("docs/configuration.md", "docs/tuning.md")
COLUMNS = 4  # name, default, unit, and when to change it or what it does
NOTHING = "-"
OFTEN_CHANGED = 36  # settings in docs/configuration.md, at most


def docstrings() -> dict[str, str]:
    """Return the docstring below each setting, by environment variable."""
    found: dict[str, str] = {}
    for path in (ROOT / "settings").glob("*.py"):
        for group in ast.parse(path.read_text()).body:
            if isinstance(group, ast.ClassDef):
                found |= dict(_described(group))
    return found


def _described(group: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in pairwise(group.body):
        match field, below:
            case (
                ast.AnnAssign(value=ast.Call(args=[ast.Constant(value=str(variable)), *_])),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield variable, " ".join(text.split())


class Row(NamedTuple):
    """One setting as a page documents it."""

    page: str
    default: str
    unit: str
    about: str


def rows(page: str) -> list[tuple[str, Row]]:
    """Return the settings in the tables of a page, in its order."""
    lines = [line for line in (ROOT / page).read_text().splitlines() if re.match(r"\| *`?[A-Z][A-Z0-9_]+`? *\|", line)]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert all(len(row) == COLUMNS for row in cells), page
    return [(name.strip("`"), Row(page, default.strip("`"), unit, about)) for name, default, unit, about in cells]


DOCUMENTED = [row for page in DOCUMENTS for row in rows(page)]


def test_the_pages_list_each_setting_once_and_nothing_else() -> None:
    assert sorted(name for name, _ in DOCUMENTED) == sorted(FIELDS)


def test_the_page_of_common_settings_stays_short() -> None:
    assert 0 < len(rows("docs/configuration.md")) <= OFTEN_CHANGED


@pytest.mark.parametrize("name", FIELDS)
def test_a_setting_is_documented_with_its_default_and_unit(name: str) -> None:
    row, field = dict(DOCUMENTED)[name], FIELDS[name]
    if name in NUMBERS:
        assert float(re.sub(r"[_, ]", "", row.default)) == field.default
    else:
        assert row.default == (field.default or NOTHING)
    assert row.unit == field.metadata["unit"]
    assert len(row.about.split()) >= 3


def test_the_page_of_expert_settings_says_what_the_code_says() -> None:
    described = docstrings()
    assert sorted(described) == sorted(FIELDS)
    for name, row in rows("docs/tuning.md"):
        about = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", row.about)  # a link is its text
        assert f"{about}.".casefold() == described[name].casefold(), name


@pytest.mark.parametrize("name", CHOICES)
def test_the_choices_of_a_setting_are_documented(name: str) -> None:
    row = dict(DOCUMENTED)[name]
    assert set(FIELDS[name].metadata["choices"]) <= {row.default, *re.findall(r"`(\w+)`", row.about)}


def test_the_readme_repeats_the_defaults_of_these_pages() -> None:
    found = re.findall(r"^\| `([A-Z][A-Z0-9_]+)` *\| *(.*?) *\|", (ROOT / "README.md").read_text(), re.MULTILINE)
    documented = dict(DOCUMENTED)
    assert len(found) >= 7
    assert {name: default or NOTHING for name, default in found} == {n: documented[n].default for n, _ in found}


def said(**environ: str) -> str:
    """The sentence with which these are refused."""
    with pytest.raises(SettingsError) as refused:
        read(environ)
    return str(refused.value)


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_at_its_bounds_is_accepted(name: str) -> None:
    for bound in ("low", "high"):
        value = NUMBERS[name].metadata[bound]
        if (name, bound) in NEVER:
            assert name in said(**TOGETHER | {name: repr(value)})
        else:
            assert read(TOGETHER | {name: repr(value)}).value(name) == value


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_out_of_bounds_is_refused_by_name(name: str) -> None:
    low, high = NUMBERS[name].metadata["low"], NUMBERS[name].metadata["high"]

    for wrong in (low - 1, low - 1e-6, high + 1, -high, "nan", "inf", "-inf", "1e999", "x", "1,5", "0x10", "1 0"):
        assert said(**{name: str(wrong)}).startswith(f"{name} is {str(wrong)!r}: give a number from ")


@pytest.mark.parametrize("name", [name for name, field in NUMBERS.items() if field.type == "int"])
def test_a_fraction_is_refused_for_a_whole_number(name: str) -> None:
    assert said(**{name: "2.5"}).startswith(f"{name} is '2.5'")


@pytest.mark.parametrize("name", CHOICES)
def test_an_unknown_choice_is_refused_by_name(name: str) -> None:
    assert said(**{name: "maybe"}).startswith(f"{name} is 'maybe': give one of ")


def test_unset_empty_and_blank_mean_the_default() -> None:
    assert read({}) == Settings()
    for blank in ("", " "):
        assert read(dict.fromkeys(FIELDS, blank)) == Settings()


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"RETRY_MIN_BACKOFF": "2", "RETRY_MAX_BACKOFF": "1"}, "RETRY_MIN_BACKOFF is above RETRY_MAX_BACKOFF"),
        ({"WORKER_TIMEOUT": "2", "UPKEEP_INTERVAL": "1"}, "WORKER_TIMEOUT must be more than twice UPKEEP_INTERVAL"),
        ({"CALLBACK_MIN_BACKOFF": "2", "CALLBACK_MAX_BACKOFF": "1"}, "CALLBACK_MIN_BACKOFF is above"),
        (
            {"CALLBACK_TIMEOUT": "5", "STUCK_AFTER": "4", "LIST_BUDGET": "1"}
            | {"SMTP_TIMEOUT": "0.1", "SMTP_CONNECT_TIMEOUT": "0.1", "SMTP_DATA_TIMEOUT": "0.1"},
            "CALLBACK_TIMEOUT must be below STUCK_AFTER",
        ),
        ({"CALLBACK_ALLOWED_NETWORKS": "10.0.0.0/8, here"}, "CALLBACK_ALLOWED_NETWORKS is malformed: give networks"),
        ({"CALLBACK_ALLOWED_NETWORKS": "10.0.0.1/8"}, "CALLBACK_ALLOWED_NETWORKS is malformed: give networks"),
        ({"BODY_LIMIT": "10000000", "BODIES_LIMIT": "9999999"}, "BODIES_LIMIT must not be below BODY_LIMIT"),
        ({"ALLOWED_HEADERS": "X-*, Bcc"}, "ALLOWED_HEADERS contains Bcc: remove it"),
        ({"ALLOWED_HEADERS": "X-*;References"}, "ALLOWED_HEADERS is malformed: "),
        ({"ALLOWED_HEADERS": "X-*,"}, "ALLOWED_HEADERS is malformed: "),
        (
            {"STUCK_AFTER": "600"},
            "STUCK_AFTER must be above 2210, the time that LIST_BUDGET and the SMTP time-outs allow",
        ),
        ({"SMTP_DATA_TIMEOUT": "2000"}, "STUCK_AFTER must be above 3610"),
        ({"STUCK_AFTER": "2210"}, "STUCK_AFTER must be above 2210"),
        ({"LIST_BUDGET": "3600"}, "LIST_BUDGET must be below STUCK_AFTER"),
        ({"METRICS_BIND": "9191"}, "METRICS_BIND is '9191': give host:port"),
        ({"METRICS_BIND": "0.0.0.0:9191"}, "METRICS_BIND can be reached from other machines: set METRICS_TOKEN"),
        ({"METRICS_TOKEN": "short"}, "METRICS_TOKEN is malformed: give at least 32 characters"),
        (
            {"METRICS_TOKEN": "a b" * 20},
            "METRICS_TOKEN is malformed: give at least 32 characters without spaces",
        ),
        ({"DATABASE_URL": "mysql://h"}, "DATABASE_URL does not start with postgresql://"),
        ({"REDIS_URL": "http://h"}, "REDIS_URL does not start with redis://"),
        ({"REDIS_URL": "redis+sentinel://a:1,b:2"}, "REDIS_URL does not name a master"),
        ({"REDIS_URL": "redis+sentinel://a:1,b:2/m/zero"}, "REDIS_URL does not name a master"),
        (
            {"REDIS_URL": "redis+sentinel://a:1/m?db=1"},
            "REDIS_URL has the option 'db', which cannot be used with Sentinels",
        ),
        ({"REDIS_URL": "redis+sentinel://a:1,/m"}, "REDIS_URL has a Sentinel without a host"),
        ({"REDIS_URL": "redis+sentinel://a:one/m"}, "REDIS_URL is malformed"),
        ({"BIND": "8000"}, "BIND is '8000': give host:port"),
        ({"BIND": "localhost:http"}, "BIND is 'localhost:http': give host:port"),
        ({"BIND": "localhost:65536"}, "BIND is 'localhost:65536': give host:port"),
        ({"BIND": "localhost:-1"}, "BIND is 'localhost:-1': give host:port"),
    ],
)
def test_conflicting_or_malformed_settings_are_refused_by_name(environ: dict[str, str], sentence: str) -> None:
    assert said(**environ).startswith(sentence)


def test_a_required_setting_that_is_missing_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^DATABASE_URL is not set: "):
        read({}).database.require()
    with pytest.raises(SettingsError, match=r"^REDIS_URL is not set: "):
        read({}).redis.require()


@pytest.mark.parametrize("bind", ["127.0.0.1:1", "127.8.9.10:1", "localhost:1", "[::1]:1"])
def test_loopback_addresses_are_local_and_never_exposed(bind: str) -> None:
    assert read({"BIND": bind}).http.local
    assert not read({"BIND": bind, "AUTH": "off"}).http.exposed


@pytest.mark.parametrize("bind", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.com:1", "[::ffff:10.0.0.1]:1", "*:1"])
def test_other_addresses_are_exposed_only_with_auth_off(bind: str) -> None:
    assert not read({"BIND": bind}).http.local
    assert not read({"BIND": bind}).http.exposed
    assert read({"BIND": bind, "AUTH": "off"}).http.exposed


def test_auth_is_required_by_default() -> None:
    assert read({}).http.auth == "required"


SECRETS = {
    "DATABASE_URL": "postgresql://u:hunter2@h/d",
    "REDIS_URL": "redis://:hunter2@h",
    "SMTP_URL": "smtp://u:hunter2@h",
    "EMAIL_PASS": "hunter2",
}


def test_no_secret_is_in_the_repr_of_the_settings() -> None:
    current = read(SECRETS | {"EMAIL_USER": "u@example.com"})

    assert "hunter2" not in f"{current!r} {current} {mail_server(current)!r} {mail_server(current)}"
    assert mail_server(current).password == "hunter2"


def test_sentinels_are_read_from_one_url() -> None:
    current = read({"REDIS_URL": "rediss+sentinel://me:p%40ss@a:1,b/my%2Fmaster/3?sentinel_password=s%26t"})

    assert current.redis.sentinels == Sentinels(
        (("a", 1), ("b", 26379)), "my/master", 3, "me", "p@ss", sentinel_password="s&t", tls=True
    )
    assert "p@ss" not in repr(current.redis.sentinels)
    assert "s&t" not in repr(current.redis.sentinels)
    assert read({"REDIS_URL": "redis://h"}).redis.sentinels is None


@pytest.mark.parametrize("url", ["redis+sentinel://u:hunter2@a,b", "redis+sentinel://u:hunter2@a:x/m"])
def test_a_malformed_url_of_sentinels_is_not_repeated(url: str) -> None:
    assert "hunter2" not in said(REDIS_URL=url)


@pytest.mark.parametrize(("name", "scheme"), [("DATABASE_URL", "postgresql"), ("REDIS_URL", "redis")])
def test_a_url_of_another_scheme_is_not_repeated(name: str, scheme: str) -> None:
    assert "hunter2" not in said(**{name: f"http://u:hunter2@h/{scheme}://"})


@given(environ=st.dictionaries(st.sampled_from(sorted(FIELDS)), st.text()))
def test_any_environment_is_accepted_or_refused_with_a_message(environ: dict[str, str]) -> None:
    try:
        read(environ)
    except SettingsError as refused:
        sentence = str(refused)
    else:
        sentence = ": "

    assert ": " in sentence or sentence.startswith(("WORKER_TIMEOUT", "LIST_BUDGET", "SMTP_URL"))
