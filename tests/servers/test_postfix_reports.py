"""A real Postfix reports what became of mails: by the return path, or by the envelope id."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import bouncing, embedded
from tests.eventually import eventually
from tests.servers.report_places import RETURN, SENDER, UNKNOWN, Places
from tests.servers.stock_postfix import StockPostfix
from tests.smtp import Reply, SmtpServer
from tests.system import System

# Mail for `elsewhere` goes to a server that refuses, that for the return path and for the sender to `notify bounces`.
# What is refused for now is given up at once.
SETTINGS = """transport_maps = inline:{{ {{ elsewhere.example = smtp:[127.0.0.1]:{elsewhere} }},
 {{ {domain} = smtp:[127.0.0.1]:{bounces} }}, {{ sender.example = smtp:[127.0.0.1]:{bounces} }} }}
virtual_alias_domains = lists.example
virtual_alias_maps = inline:{{ {{ team@lists.example = gone@elsewhere.example }} }}
maximal_queue_lifetime = 0
bounce_queue_lifetime = 1h
"""


@pytest.fixture(params=[{"return_path_domain": RETURN}, {}], ids=["return path", "envelope id"])
def places(
    request: pytest.FixtureRequest, tmp_path: Path, stock_database_url: str, stock_redis_url: str
) -> Iterator[Places]:
    if os.geteuid() != 0:
        pytest.skip("only root can run Postfix")
    with ExitStack() as lasting:
        elsewhere = lasting.enter_context(SmtpServer())
        postfix = StockPostfix(lasting.enter_context(embedded.short_directory()))
        lasting.callback(postfix.kill)
        urls = {"database_url": stock_database_url, "redis_url": stock_redis_url, "smtp_url": postfix.url}
        system = System(tmp_path, **urls, **request.param)
        lasting.callback(system.stop)
        bounces = lasting.enter_context(bouncing.serving(tmp_path, system.environ, "--accept", SENDER))
        postfix.add(SETTINGS.format(elsewhere=elsewhere.port, domain=RETURN, bounces=bounces.port))
        postfix.start()
        system.start_api()
        system.start_workers()
        yield Places(elsewhere, system, postfix)


@pytest.mark.parametrize(
    ("reply", "klass", "code"),
    [
        (UNKNOWN, "hard", "5.1.1"),
        (Reply(552, "5.2.2 Mailbox full"), "soft", "5.2.2"),
        (Reply(554, "5.7.1 Message refused by a filter"), "policy", "5.7.1"),
        (Reply(550, "5.7.26 This mail is unauthenticated"), "sender", "5.7.26"),
        (Reply(450, "4.2.0 Try again"), "soft", "4.2.0"),
        (Reply(550, "no code at all"), "unknown", "5.0.0"),
    ],
    ids=["unknown user", "full", "filter", "authentication", "given up", "no code"],
)
def test_a_bounce_ends_with_its_class_code_and_words(places: Places, reply: Reply, klass: str, code: str) -> None:
    places.elsewhere.on("rcpt", reply, times=None)
    found = places.outcome(places.send("gone@elsewhere.example"))
    proof = found["deliveryEvidence"]
    assert (found["status"], found["deliveryStatus"]) == ("sent", "bounced")
    assert (proof["class"], proof["code"], proof["recipient"]) == (klass, code, "gone@elsewhere.example")
    assert reply.text.rpartition(": ")[2] in proof["text"]
    assert places.suppressed() == (["gone@elsewhere.example"] if klass == "hard" else [])


def test_the_recipient_of_an_expanded_alias_is_recognised(places: Places) -> None:
    places.elsewhere.on("rcpt", UNKNOWN, times=None)
    found = places.outcome(places.send("team@lists.example"))
    assert found["deliveryStatus"] == "bounced"
    assert found["deliveryEvidence"]["recipient"] == "team@lists.example"


def test_of_several_recipients_only_the_one_that_bounced_is_suppressed(places: Places) -> None:
    places.elsewhere.on("rcpt", UNKNOWN, to="gone@elsewhere.example", times=None)
    id = places.send("anna@example.com", cc=["gone@elsewhere.example"])
    eventually(places.suppressed, within=40, saying=lambda: places.system.logs() + places.mail_server.log)
    assert places.suppressed() == ["gone@elsewhere.example"]
    assert places.system.client.notification(id)["deliveryStatus"] == "unconfirmed"
