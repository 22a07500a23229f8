"""Sending domains in the database: added, checked against DNS, switched, suspended and retired."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import orjson
import pytest

from actors.channels.email.domains import checking, keys
from actors.channels.email.signer import Signer
from actors.domains import Domains
from db import domain_keys, domains
from db.database import connection, database, rows
from db.domain_keys import KEPT, SUSPENDED_AFTER, SWITCH_AFTER
from db.domains import CHECK_LEASE, MOST, Known, TooMany
from settings import Settings
from settings.domains import DomainSettings
from tests.dns_server import DnsServer

NAME = "example.com"


@pytest.fixture
def dns() -> Iterator[DnsServer]:
    with DnsServer() as server:
        yield server


@pytest.fixture
def current(store: Settings, dns: DnsServer) -> DomainSettings:
    return DomainSettings(keys_secret="s" * 32, dns_server=dns.address)


def add(current: DomainSettings, *algorithms: str, client: int | None = 1, name: str = NAME) -> Known:
    return domains.add(client, name, keys.make(algorithms or ("rsa",), current))[0]


def check(known: Known, current: DomainSettings) -> Known:
    found = asyncio.run(checking.check(known, Settings(domains=current)))
    after = domains.record(known.domain.id, orjson.dumps(found.found).decode(), found.present, found.absent)
    assert after is not None
    return after


def publish(dns: DnsServer, known: Known) -> None:
    for key in known.keys:
        value = f"v=DKIM1; k={key.algorithm}; p={key.public_key}"
        dns.publish(f"{key.selector}._domainkey.{known.domain.domain}", value)


def states(known: Known) -> list[tuple[str, str]]:
    return [(key.algorithm, key.state) for key in known.keys]


def later(seconds: float) -> None:
    """Let so much time pass for all keys and domains."""
    moved = ", ".join(f"{name} = {name} - %s * interval '1 second'" for name in ("signs_from", "signs_until"))
    rows(f"UPDATE domain_keys SET {moved}, missing_since = missing_since - %s * interval '1 second'", *[seconds] * 3)
    rows("UPDATE domains SET check_at = check_at - %s * interval '1 second'", seconds)


def test_a_domain_does_not_sign_before_its_key_is_in_dns(current: DomainSettings, dns: DnsServer) -> None:
    known = check(add(current), current)
    assert (known.state, domain_keys.signing()) == ("pending", [])

    publish(dns, known)
    known = check(known, current)

    assert (known.state, states(known)) == ("verified", [("rsa", "current")])
    [signing] = domain_keys.signing()
    assert signing.private_key
    [(seconds,)] = rows("SELECT extract(epoch FROM signs_from - now())::float8 FROM domain_keys")
    assert SWITCH_AFTER - 10 < seconds <= SWITCH_AFTER


def test_a_private_key_is_stored_encrypted_and_read_only_by_workers(current: DomainSettings) -> None:
    known = add(current, "rsa", "ed25519")
    sealed = domain_keys.sealed()

    assert len(sealed) == 2
    assert all(one.startswith(b"gAAAA") for one in sealed)
    assert "private" not in repr(known)


def test_adding_a_domain_again_can_only_add_an_algorithm(current: DomainSettings) -> None:
    first = add(current)
    again, new = domains.add(1, NAME, keys.make(["rsa", "ed25519"], current))

    assert not new
    assert again.domain == first.domain
    assert states(again) == [("rsa", "new"), ("ed25519", "new")]
    assert again.keys[0] == first.keys[0]


def test_the_number_of_domains_of_a_client_is_limited(current: DomainSettings) -> None:
    new = keys.make(["ed25519"], current)
    for number in range(MOST):
        domains.add(1, f"d{number}.example.com", new)

    with pytest.raises(TooMany):
        domains.add(1, "one.example.com", new)
    assert not domains.add(1, "d0.example.com", new)[1]
    assert domains.add(None, "one.example.com", new)[1]


def test_two_clients_may_add_one_domain_and_the_one_whose_key_is_in_dns_signs(
    current: DomainSettings, dns: DnsServer
) -> None:
    rows("INSERT INTO clients (id, name) VALUES (7, 'other') ON CONFLICT DO NOTHING RETURNING id")
    ours, theirs = add(current), add(current, client=7)
    publish(dns, ours)

    assert check(ours, current).state == "verified"
    assert check(theirs, current).state == "pending"
    assert [key.client_id for key in domain_keys.signing()] == [1]


def test_during_a_rotation_a_published_key_signs_at_any_time(current: DomainSettings, dns: DnsServer) -> None:
    known = add(current, "rsa", "ed25519")
    publish(dns, known)
    check(known, current)
    later(SWITCH_AFTER + 1)

    known = rotated(known, current)
    assert states(known) == [("rsa", "current"), ("ed25519", "current"), ("rsa", "new"), ("ed25519", "new")]
    assert check(known, current).state == "verified", "the new ones are not published yet"
    publish(dns, known)
    known = check(known, current)

    assert states(known) == [("rsa", "old"), ("ed25519", "old"), ("rsa", "current"), ("ed25519", "current")]
    old, new = known.keys[0], known.keys[2]
    assert old.signs_until == new.signs_from
    later(KEPT + SWITCH_AFTER + 1)
    assert states(check(known, current)) == [("rsa", "current"), ("ed25519", "current")]
    assert [bool(key.private_key) for key in domain_keys.signing()] == [False, False, True, True]


def rotated(known: Known, current: DomainSettings) -> Known:
    after = domains.rotate(known.domain.id, keys.make([key.algorithm for key in known.keys], current))
    assert after is not None
    return after


def test_two_simultaneous_rotations_create_one_key(current: DomainSettings, dns: DnsServer) -> None:
    known = add(current, "ed25519")
    publish(dns, known)
    check(known, current)

    def rotate(_: int) -> Known:
        with closing(database), connection():
            return rotated(known, current)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(rotate, range(8)))

    assert {tuple(key.selector for key in one.keys) for one in found} == {tuple(k.selector for k in found[0].keys)}
    assert states(found[0]) == [("ed25519", "current"), ("ed25519", "new")]


def test_a_domain_without_its_records_is_failing_and_stops_signing_after_three_days(
    current: DomainSettings, dns: DnsServer
) -> None:
    known = add(current, "ed25519")
    publish(dns, known)
    check(known, current)
    dns.texts.clear()

    assert check(known, current).state == "failing"
    later(SUSPENDED_AFTER + 1)
    known = check(known, current)
    assert (known.state, domain_keys.signing()) == ("pending", [])

    publish(dns, known)
    assert check(known, current).state == "verified"


def test_a_record_that_returns_in_time_ends_the_failing_state(current: DomainSettings, dns: DnsServer) -> None:
    known = add(current, "ed25519")
    publish(dns, known)
    check(known, current)
    dns.texts.clear()
    check(known, current)
    publish(dns, known)

    assert check(known, current).state == "verified"
    later(SUSPENDED_AFTER + 1)
    assert check(known, current).state == "verified"


@pytest.mark.parametrize("trouble", ["silent", "broken"])
def test_dns_without_an_answer_changes_nothing(
    current: DomainSettings, dns: DnsServer, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "LIFETIME", 0.5)
    known = add(current, "ed25519")
    publish(dns, known)
    check(known, current)
    getattr(dns, trouble).update(dns.texts)

    known = check(known, current)

    assert known.state == "verified"
    [name] = dns.texts
    assert known.domain.found[f"TXT {name}"]["state"] == "unknown"


def test_found_records_are_reported_with_the_difference(current: DomainSettings, dns: DnsServer) -> None:
    known = add(dataclasses.replace(current, spf_include="_spf.example.net"))
    [key] = known.keys
    name = f"{key.selector}._domainkey.{NAME}"
    dns.publish(name, ["v=DKIM1; k=rsa; p=", key.public_key[:100]])
    dns.publish(NAME, "v=spf1 mx -all", "something else")
    dns.mx[NAME] = ["10 mail.example.com."]
    dns.publish("_dmarc.com", "v=DMARC1; p=reject")

    found = check(known, dataclasses.replace(current, spf_include="_spf.example.net")).domain.found

    assert found[f"TXT {name}"]["state"] == "wrong"
    assert "ends after 100 of" in found[f"TXT {name}"]["detail"]
    assert found[f"TXT {NAME}"]["state"] == "wrong"
    assert found[f"TXT {NAME}"]["found"] == ["v=spf1 mx -all"]
    assert found[f"MX {NAME}"]["found"] == ["10 mail.example.com."]
    assert found[f"TXT _dmarc.{NAME}"]["state"] == "missing", "a top-level domain says nothing for others"


def test_a_dmarc_record_of_a_parent_domain_counts(current: DomainSettings, dns: DnsServer) -> None:
    known = add(current, name="a.b.example.com")
    dns.publish("_dmarc.example.com", "v=DMARC1; p=reject")

    assert check(known, current).domain.found["TXT _dmarc.a.b.example.com"]["state"] == "found"


def test_a_domain_of_a_hundred_labels_costs_few_dns_queries(current: DomainSettings, dns: DnsServer) -> None:
    known = add(current, "ed25519", name=f"{'a.' * 100}example.com")

    check(known, current)

    assert len(dns.asked) < 10


def test_workers_share_the_due_checks_and_repeat_that_of_a_dead_worker(current: DomainSettings) -> None:
    for number in range(3):
        add(current, "ed25519", name=f"d{number}.example.com")

    assert [len(domains.take_due(2)) for _ in range(3)] == [2, 1, 0]
    later(CHECK_LEASE + 1)
    assert len(domains.take_due(9)) == 3


def test_a_worker_loads_the_keys_and_checks_what_is_due(current: DomainSettings, dns: DnsServer) -> None:
    known = add(current, "ed25519")
    publish(dns, known)
    loaded: list[int] = []

    class Noting(Signer):
        def replace(self, keys: object) -> None:
            loaded.append(len(list(keys)))  # type: ignore[call-overload]

    worker = Domains(Settings(domains=current), Noting(current.secrets))
    worker.turn()
    worker.turn()

    after = domains.find(1, NAME)
    assert after
    assert after.state == "verified"
    assert loaded == [0, 1]
    assert len([name for name in dns.asked if "_domainkey" in name]) == 1, "the next check is in an hour"


def test_a_domain_that_was_removed_during_its_check_stays_removed(current: DomainSettings) -> None:
    known = add(current)
    assert domains.remove(known.domain.id) == known.domain

    assert domains.record(known.domain.id, "{}", [known.keys[0].id], []) is None
    assert domains.remove(known.domain.id) is None
    assert domain_keys.sealed() == []
