"""Signed mails through Postfix pass OpenDKIM, rspamd and dkimpy, and fail them once something is added."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import dkim
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from actors.channels.email.signer import PURPOSE, Signer
from actors.channels.email.smtp_provider import SmtpProvider
from db.domain_keys import SigningKey
from db.records import Claimed
from runtime.sealing import Sealer
from tests import embedded, random_mails
from tests.client import NOTIFICATIONS, Client
from tests.dkim_keys import SELECTORS, private, published, txt
from tests.dns_server import DnsServer
from tests.environment import configured
from tests.eventually import eventually
from tests.servers.dkim_verifiers import OpenDkim, Rspamd
from tests.servers.stock_postfix import StockPostfix
from tests.system import System

MAILS = 150  # 10,000 were sent once: see docs/benchmarks.md
SECRET = "s" * 32
RSA, ED25519 = SELECTORS["rsa"], SELECTORS["ed25519"]


class Judges(NamedTuple):
    postfix: StockPostfix
    rspamd: Rspamd
    dns: DnsServer


@pytest.fixture(scope="module")
def judges() -> Iterator[Judges]:
    """Postfix with OpenDKIM as its milter, and rspamd beside it."""
    with ExitStack() as lasting:
        dns = lasting.enter_context(DnsServer())
        keys = {f"{SELECTORS[name]}._domainkey.example.com": published(name) for name in SELECTORS}
        for name, value in keys.items():
            dns.publish(name, value)
        opendkim = OpenDkim(lasting.enter_context(embedded.short_directory()), keys)
        lasting.callback(opendkim.kill)
        rspamd = Rspamd(lasting.enter_context(embedded.short_directory()), dns.port)
        lasting.callback(rspamd.kill)
        postfix = StockPostfix(lasting.enter_context(embedded.short_directory()))
        # A milter that is away must not look like one that has nothing to say.
        postfix.add(f"smtpd_milters = inet:127.0.0.1:{opendkim.port}\nmilter_default_action = tempfail")
        lasting.callback(postfix.kill)
        postfix.start()
        yield Judges(postfix, rspamd, dns)


def signer() -> Signer:
    """A signer with both keys of example.com."""
    made, since = Signer([SECRET]), datetime(2020, 1, 1, tzinfo=UTC)
    form = (Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    made.replace(
        SigningKey(number, 1, "example.com", name, selector, _sealed(private(name).private_bytes(*form)), since, None)
        for number, (name, selector) in enumerate(SELECTORS.items())
    )
    return made


def _sealed(der: bytes) -> bytes:
    return Sealer([SECRET], PURPOSE).seal(der)


async def _send_all(channel: SmtpProvider, mails: Sequence[tuple[Claimed, Sequence[bytes]]]) -> None:
    sender = channel.sender()
    for notification, contents in mails:
        await sender.send(notification, contents=contents)
    await sender.hang_up()


def delivered(postfix: StockPostfix, count: int) -> list[bytes]:
    """Wait for the mails, one for each main recipient, and return them as they are in the mailbox."""

    def arrived() -> list[bytes]:
        found = [path.read_bytes() for path in (postfix.directory / "boxes").glob("inbox/new/*")]
        mine = [mail for mail in found if re.search(rb"^X-Original-To: to\d+@", mail, re.MULTILINE)]
        return mine if len(mine) == count else []

    return eventually(arrived, within=60 + count / 20, saying=lambda: postfix.log[-3000:])


def test_signatures_of_random_mails_verify_in_three_programs_with_both_algorithms(judges: Judges) -> None:
    mails = list(random_mails.mails(7, MAILS))
    with configured(smtp_url=judges.postfix.url, mail_from="noreply@example.com") as settings:
        channel = SmtpProvider(settings, settings.providers[0], signer=signer())
    asyncio.run(_send_all(channel, mails))

    for mail in delivered(judges.postfix, MAILS):
        assert opendkim_says(mail) == {RSA: "pass", ED25519: "pass"}, mail
        assert judges.rspamd.passing(mail) == [RSA, ED25519], mail
        found = dkim.DKIM(mail)
        assert [found.verify(number, dnsfunc=txt) for number in range(2)] == [True, True], mail
        assert not [line for line in mail.split(b"\n") if len(line) > 998]
        assert mail.partition(b"\n\n")[2].isascii()
    sample = next(mail for mail in delivered(judges.postfix, MAILS) if b"\nReply-To:" not in mail)
    for added in (b"From: x@example.org", b"Subject: Buy", b"To: x@example.org", b"Reply-To: x@example.org"):
        assert judges.rspamd.passing(added + b"\n" + sample) == [], added


def opendkim_says(mail: bytes) -> dict[str, str]:
    """Return what OpenDKIM noted, by selector."""
    [noted] = re.findall(rb"^Authentication-Results: verifier.example;((?:.|\n[ \t])*)", mail, re.MULTILINE)
    found = re.findall(r"dkim=(\w+).*?header\.s=(\w+)", " ".join(noted.decode().split()))
    assert found, noted
    return {selector: result for result, selector in found}


def test_opendkim_rejects_a_mail_with_an_added_subject(judges: Judges) -> None:
    [(notification, contents)] = random_mails.mails(8, 1)
    with configured(smtp_url=judges.postfix.url, mail_from="noreply@example.com") as settings:
        channel = SmtpProvider(settings, settings.providers[0], signer=signer())
    mail = channel.compose(notification._replace(recipient="forged@example.com"), contents)
    forged = mail._replace(content=b"Subject: Buy\r\n" + mail.content)
    channel.compose = lambda *_: forged  # type: ignore[method-assign]
    asyncio.run(_send_all(channel, [(notification, ())]))

    [arrived] = eventually(lambda: judges.postfix.mails("forged@example.com"))
    assert set(opendkim_says(arrived.as_bytes()).values()) == {"fail"}


@pytest.fixture
def system(
    judges: Judges, tmp_path_factory: pytest.TempPathFactory, stock_database_url: str, stock_redis_url: str
) -> Iterator[System]:
    """The whole system, which delivers to that Postfix and asks that DNS server."""
    made = System(
        tmp_path_factory.mktemp("system"),
        **{"database_url": stock_database_url, "redis_url": stock_redis_url, "smtp_url": judges.postfix.url},
        mail_from="noreply@shop.example",
        dns_server=judges.dns.address,
        domain_keys_secret=SECRET,
    )
    made.start_api()
    yield made
    made.stop()


def passing(judges: Judges, recipient: str) -> list[str]:
    """Wait for a mail, and return the selectors of its signatures that pass rspamd."""
    boxes = judges.postfix.directory / "boxes" / "inbox" / "new"
    to = f"X-Original-To: {recipient}\n".encode()
    mail = eventually(lambda: next((m for m in (path.read_bytes() for path in boxes.iterdir()) if to in m), b""))
    return judges.rspamd.passing(mail)


def send(client: Client, recipient: str) -> None:
    document = {"type": "email", "recipient": recipient, "message": "Hello"}
    assert client.post(NOTIFICATIONS, document).status == 201


def test_a_domain_signs_when_its_key_is_in_dns_and_during_rotations(judges: Judges, system: System) -> None:
    client = system.client
    added = client.post("/api/domains", {"domain": "shop.example"})
    assert (added.status, added.json["state"]) == (201, "pending")
    system.start_workers()
    send(client, "first@example.com")
    assert passing(judges, "first@example.com") == []

    first = checked(judges, system)
    send(client, "second@example.com")
    assert passing(judges, "second@example.com") == [first]

    assert client.request("POST", "/api/domains/shop.example/rotate").status == 200
    second = checked(judges, system)
    assert second != first
    send(client, "third@example.com")
    assert passing(judges, "third@example.com") == [second]
    assert "PRIVATE" not in system.logs()

    refused = system.spawn_workers(domain_keys_secret="t" * 32)
    eventually(lambda: "encrypted with another DOMAIN_KEYS_SECRET" in refused.log.read_text(), within=20)


def checked(judges: Judges, system: System) -> str:
    """Publish what the domain needs, check it, and return the selector that signs when the workers know it."""
    shown = system.client.get("/api/domains/shop.example").json
    for record in shown["records"]:
        if record["value"]:
            judges.dns.publish(record["name"], record["value"])
    answer = system.client.request("POST", "/api/domains/shop.example/check").json
    assert answer["state"] == "verified", answer
    # As if the minute until the switch had passed.
    moved = timedelta(minutes=2)
    system.sql.rows("UPDATE domain_keys SET signs_from = signs_from - %s RETURNING id", moved)
    system.sql.rows("UPDATE domain_keys SET signs_until = signs_until - %s RETURNING id", moved)
    for group in system.workers:
        group.kill()
    system.start_workers()
    return next(str(key["selector"]) for key in reversed(answer["keys"]) if key["state"] == "current")
