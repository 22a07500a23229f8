"""The doctor's findings on the environment, and the bounds of its probes."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

import settings
from cli.doctor import environment
from cli.doctor.disk import free
from cli.doctor.findings import OK, PROBLEM, WARNING, Finding, ok, problem, warning, worst
from cli.doctor.probing import findings
from settings.removed import REMOVED

WELL = {
    "DATABASE_URL": "postgresql://me:geheim@127.0.0.1/x",
    "REDIS_URL": "redis://127.0.0.1/0",
    "SMTP_URL": "smtp://127.0.0.1:2525",
    "MAIL_FROM": "noreply@example.com",
}


def said(environ: dict[str, str], *, up: bool = False) -> list[Finding]:
    chosen, wrong = settings.examined(environ)
    return list(environment.findings(chosen, wrong, environ, up=up))


def names(found: list[Finding], level: str) -> list[str]:
    return [one.what.split()[0] for one in found if one.level == level]


def test_valid_settings_are_reported_in_one_line() -> None:
    assert said(WELL) == [ok("settings", "4 are set, the others have their defaults, and all are valid")]


def test_all_faults_of_the_settings_are_reported_at_once() -> None:
    wrong = {"LOGIN_RATE": "0", "BIND": "nowhere", "RETRY_MIN_BACKOFF": "99", "RETRY_MAX_BACKOFF": "9", "AUTH": "on"}
    found = said({**WELL, **wrong})
    assert sorted(names(found, PROBLEM)) == ["AUTH", "BIND", "LOGIN_RATE", "RETRY_MIN_BACKOFF"]
    assert all(one.fix for one in found)


def test_missing_settings_are_reported_with_what_to_give() -> None:
    found = said({})
    assert names(found, PROBLEM) == ["DATABASE_URL", "REDIS_URL", "SMTP_URL"]
    assert "postgresql://user:pass@host:5432/name" in found[0].fix


def test_notify_up_needs_no_setting_for_mail() -> None:
    servers = {name: WELL[name] for name in ("DATABASE_URL", "REDIS_URL")}
    assert names(said(servers, up=True), PROBLEM) == []
    assert names(said(servers), PROBLEM) == ["SMTP_URL"]


def test_sending_only_text_messages_needs_an_sms_sender_and_no_mail_from() -> None:
    texts = {name: WELL[name] for name in ("DATABASE_URL", "REDIS_URL")}
    assert names(said({**texts, "PROVIDER_SMS": "twilio://AC1:geheim@?from=+15555550100"}), PROBLEM) == []
    [found] = [one for one in said({**texts, "PROVIDER_SMS": "twilio://AC1:geheim@"}) if one.level == PROBLEM]
    assert found.what == "PROVIDER_SMS has no option from"


def test_a_removed_setting_is_reported_as_removed_and_not_as_misspelt() -> None:
    found = said({**WELL, "CLAIM_BATCH": "64"})
    assert found[1:] == [warning("settings", "CLAIM_BATCH is set, but is no longer a setting", "remove it")]


def test_no_removed_setting_is_still_a_setting() -> None:
    assert REMOVED & settings.VARIABLES.keys() == set()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("DATABSE_URL", "DATABASE_URL"),
        ("RETRY_MIN_BACKOF", "RETRY_MIN_BACKOFF"),
        ("NOTIFY_BIND", "BIND"),
        ("NOTIFY_TOKEN", "NOTIFY_URL or NOTIFY_KEY"),
        ("SMTP_PIPELINE", "SMTP_PIPELINING"),
    ],
)
def test_a_misspelt_setting_is_reported_with_the_correct_name(name: str, meant: str) -> None:
    [hint] = [one for one in said({**WELL, name: "x"}) if one.level == WARNING]
    assert hint.what == f"{name} is set, but is no setting"
    assert hint.fix.startswith(f"did you mean {meant}?")


@pytest.mark.parametrize("name", ["HOME", "PATH", "DB_URL", "NOTIFY_KEY", "NOTIFY_URL", "DATA_DIR", "LC_ALL", "MAIL"])
def test_variables_of_other_programs_are_not_reported(name: str) -> None:
    assert names(said({**WELL, name: "x"}), WARNING) == []


def test_a_variable_that_other_tools_use_for_a_missing_setting_is_reported() -> None:
    without = {name: value for name, value in WELL.items() if name != "DATABASE_URL"}
    assert "DATABASE_URL?" in next(one.fix for one in said({**without, "DB_URL": "x"}) if one.level == WARNING)


def test_findings_contain_no_secret() -> None:
    urls = {"DATABASE_URL": "mysql://me:geheim@x/y", "REDIS_URL": "http://:geheim@x", "SMTP_URL": "smtp://a:geheim@[x"}
    found = said({**WELL, **urls, "EMAIL_PASS": "geheim"})
    assert len(names(found, PROBLEM)) == 3
    assert "geheim" not in str(found)


def test_probes_run_at_the_same_time_and_are_listed_in_their_order() -> None:
    both = threading.Barrier(2, timeout=10)

    def probe(name: str) -> Iterator[Finding]:
        both.wait()
        yield ok(name, "met")

    found = findings({"b": lambda: probe("b"), "a": lambda: probe("a")}, 10)
    assert [one.check for one in found] == ["b", "a"]


def test_a_probe_that_hangs_is_a_problem_and_its_earlier_findings_are_kept() -> None:
    hanging = threading.Event()

    def hang() -> Iterator[Finding]:
        yield ok("slow", "so far so good")
        hanging.wait()

    found = findings({"slow": hang, "quick": lambda: [ok("quick", "yes")]}, 0.3)
    hanging.set()
    assert [(one.check, one.level) for one in found] == [("slow", OK), ("slow", PROBLEM), ("quick", OK)]


def test_a_probe_that_fails_stops_no_other_probe_and_shows_no_secret() -> None:
    def fail() -> Iterator[Finding]:
        raise ValueError("redis://:geheim@x")

    found = findings({"broken": fail, "quick": lambda: [ok("quick", "yes")]}, 5)
    assert [(one.check, one.level) for one in found] == [("broken", PROBLEM), ("quick", OK)]
    assert "geheim" not in str(found)
    assert "ValueError" in found[0].what


def test_the_worst_finding_decides_the_result() -> None:
    assert worst([]) == OK
    assert worst([warning("a", "b", "c"), ok("a", "b")]) == WARNING
    assert worst([warning("a", "b", "c"), problem("a", "b", "c"), ok("a", "b")]) == PROBLEM


def test_a_disk_is_reported_before_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    def levels(total: float, left: float) -> list[str]:
        usage = type("usage", (), {"total": int(total * 2**30), "free": int(left * 2**30)})
        monkeypatch.setattr("shutil.disk_usage", lambda _place: usage)
        return [one.level for one in free("it", "/x")]

    assert levels(100, 50) == [OK]
    assert levels(100, 4) == [WARNING]
    assert levels(20, 4) == [OK]
    assert levels(100, 0.1) == [PROBLEM]


def test_a_disk_that_cannot_be_read_is_not_reported() -> None:
    assert list(free("it", "/nonexistent/place")) == []
