"""A real Exim reports what became of mails: it writes 5.0.0 into each report, and the true code into its words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import bouncing, embedded
from tests.servers.report_places import RETURN, SENDER, UNKNOWN, Places
from tests.servers.stock_exim import StockExim
from tests.smtp import Reply, SmtpServer
from tests.system import System

RETURN_PATH, ENVELOPE_ID = {"return_path_domain": RETURN}, dict[str, str]()
KINDS = {
    "unknown": (UNKNOWN, "hard", "5.1.1"),
    "full": (Reply(552, "5.2.2 Mailbox full"), "soft", "5.2.2"),
    "filtered": (Reply(554, "5.7.1 Message refused by a filter"), "policy", "5.7.1"),
    "given-up": (Reply(450, "4.2.0 Try again"), "soft", "4.2.0"),
}


@pytest.fixture(params=[RETURN_PATH, ENVELOPE_ID], ids=["return path", "envelope id"])
def places(
    request: pytest.FixtureRequest, tmp_path: Path, stock_database_url: str, stock_redis_url: str
) -> Iterator[Places]:
    with ExitStack() as lasting:
        elsewhere = lasting.enter_context(SmtpServer())
        exim = StockExim(lasting.enter_context(embedded.short_directory()))
        lasting.callback(exim.kill)
        urls = {"database_url": stock_database_url, "redis_url": stock_redis_url, "smtp_url": exim.url}
        system = System(tmp_path, **urls, **request.param)
        lasting.callback(system.stop)
        bounces = lasting.enter_context(bouncing.serving(tmp_path, system.environ, "--accept", SENDER))
        own = dict.fromkeys((RETURN, "sender.example"), bounces.port)
        exim.start({"elsewhere.example": elsewhere.port, **own})
        system.start_api()
        system.start_workers()
        yield Places(elsewhere, system, exim)


def test_a_bounce_ends_with_its_class_code_and_words(places: Places) -> None:
    for name, (reply, _, _) in KINDS.items():
        places.elsewhere.on("rcpt", reply, to=f"{name}@elsewhere.example", times=None)
    ids = {name: places.send(f"{name}@elsewhere.example") for name in KINDS}
    lost = places.send("ann@nowhere.example")

    for name, (reply, klass, code) in KINDS.items():
        found = places.outcome(ids[name])
        proof = found["deliveryEvidence"]
        assert (found["status"], found["deliveryStatus"]) == ("sent", "bounced")
        assert (proof["class"], proof["code"], proof["recipient"]) == (klass, code, f"{name}@elsewhere.example")
        assert reply.text.rpartition(": ")[2] in proof["text"]
    unrouted = places.outcome(lost)["deliveryEvidence"]
    assert (unrouted["class"], unrouted["code"]) == ("unknown", "5.0.0")
    assert places.suppressed() == ["unknown@elsewhere.example"]
