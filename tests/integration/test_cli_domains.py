"""`notify domains`, and the findings of `notify doctor` on domains."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from cli.doctor import domains as probe
from db.database import rows
from settings import Settings
from settings.domains import DomainSettings
from tests.dns_server import DnsServer
from tests.integration.operating import Operator

NAME = "example.com"


@pytest.fixture
def dns() -> Iterator[DnsServer]:
    with DnsServer() as server:
        yield server


@pytest.fixture
def run(operator: Operator, dns: DnsServer) -> Any:
    """Run `notify domains`; return its standard output, or that and its errors if it fails."""

    def running(*words: str, **more: object) -> str:
        result = operator("domains", *words, **{"domain_keys_secret": "s" * 32, "dns_server": dns.address, **more})
        return result.stdout if result.exit_code == 0 else f"{result.exit_code} {result.output}"

    return running


def publish(dns: DnsServer, zone: str) -> None:
    for name, value in re.findall(r'^(\S+)\. IN TXT "(.*)"$', zone, re.MULTILINE):
        dns.publish(name, value.replace('" "', ""))


def test_the_printed_records_are_those_that_dns_needs(run: Any, dns: DnsServer) -> None:
    zone = run("add", NAME)
    assert "example.com: pending" in run("check", NAME)

    publish(dns, zone)

    assert "example.com: verified" in run("check", NAME)
    assert run("records", NAME) == zone
    assert "verified" in run("list")


def test_a_rotation_prints_both_keys_until_the_old_one_is_retired(run: Any, dns: DnsServer) -> None:
    publish(dns, run("add", NAME))
    run("check", NAME)

    rotated = run("rotate", NAME)
    assert rotated.count("_domainkey") == 2
    assert run("rotate", NAME) == rotated
    publish(dns, rotated)
    assert "verified" in run("check", NAME)
    assert [key["state"] for key in json.loads(run("list", "--json"))["keys"]] == ["old", "current"]


def test_without_a_client_a_domain_belongs_to_the_operator(run: Any) -> None:
    run("add", NAME, "--client", "default")
    assert "_domainkey.example.com" in run("records", NAME), "it is the only one"
    run("add", NAME)

    owners = [json.loads(line)["client"] for line in run("list", "--json").splitlines()]
    assert owners == ["default", None]
    assert run("records", NAME, "--client", "default") != run("records", NAME)
    assert "removed" in run("remove", NAME)
    assert [json.loads(line)["client"] for line in run("list", "--json").splitlines()] == ["default"]


@pytest.mark.parametrize("words", [("records", NAME), ("check", NAME), ("rotate", NAME), ("remove", NAME)])
def test_an_unknown_domain_is_reported_with_the_fix(run: Any, words: tuple[str, ...]) -> None:
    assert run(*words).startswith("1 ")
    assert "notify domains add example.com" in run(*words)


def test_an_invalid_domain_name_is_refused(run: Any) -> None:
    assert "DOMAIN: must be a domain such as example.com" in run("add", "nobody")


def test_without_the_secret_no_key_is_created(run: Any) -> None:
    assert "DOMAIN_KEYS_SECRET is not set" in run("add", NAME, domain_keys_secret="")
    assert run("list", "--json") == ""


def test_each_command_is_recorded_in_the_audit_log(run: Any, dns: DnsServer) -> None:
    publish(dns, run("add", NAME))
    run("check", NAME)
    run("rotate", NAME)
    run("remove", NAME)

    acts = rows("SELECT act, actor, target FROM audit ORDER BY id")
    assert acts == [(f"domain.{act}", "cli", "domain example.com") for act in ("added", "rotated", "removed")]


def found(**settings: Any) -> list[tuple[str, str]]:
    given = Settings(domains=DomainSettings(**{"keys_secret": "s" * 32, **settings}))
    return [(one.level, one.what) for one in probe.findings(given)]


def test_doctor_reports_which_domains_are_signed(run: Any, dns: DnsServer) -> None:
    assert found() == []
    publish(dns, run("add", NAME))
    assert found() == [("warning", "example.com signs nothing, because DNS does not have its key")]
    run("check", NAME)
    assert found() == [("ok", "mails from example.com are signed")]
    dns.texts.clear()
    run("check", NAME)
    [(level, what)] = found()
    assert (level, "DNS lacks the DKIM key of example.com" in what) == ("problem", True)


def test_doctor_reports_keys_that_cannot_be_decrypted(run: Any) -> None:
    run("add", NAME)

    assert ("problem", "there are domains, but DOMAIN_KEYS_SECRET is not set") in found(keys_secret="")
    wrong = ("problem", "1 private keys were encrypted with another DOMAIN_KEYS_SECRET")
    assert wrong in found(keys_secret="t" * 32)
