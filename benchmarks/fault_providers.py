"""Fault of one mail provider among three."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, NamedTuple

from benchmarks.channels import Channel, fill, mail_sink
from benchmarks.fault_rows import ROWS, Row
from benchmarks.fault_scene import GROUPS, THREADS, Scene
from benchmarks.mailbox import MailboxClient
from benchmarks.processes import wait_until
from db.lifecycle import AHEAD
from settings.providers import CONNECTIONS

NAMES = ("a", "b", "c")
SIZE = 100_000
WITHIN = 900.0  # seconds
MAIL = Channel(
    "email",
    lambda n: {"type": "email", "recipient": f"r{n}@recipient.example", "subject": "Hi", "message": "Hello"},
    lambda _url, _folder: {},
)


class Together(NamedTuple):
    """Arrivals at several sinks."""

    sinks: list[MailboxClient]

    def mails(self) -> int:
        """Return the number of mails, duplicates included."""
        return sum(sink.count().mails for sink in self.sinks)

    def recipients(self) -> Counter[str]:
        """Return the recipients, with the number of sinks that have a mail for them."""
        return Counter(recipient for sink in self.sinks for recipient in sink.times())


def one_of_three(scene: Scene) -> None:
    """The first provider is killed after a tenth of the mails, and comes back when all others are sent.

    What it may have taken waits for it, as its outcome is unknown. All other mails go through the other providers.
    """
    sinks = {name: scene.ground.lasting.enter_context(mail_sink(scene.system.directory, name)) for name in NAMES}
    scene.arrivals = Together([sink.mailbox for sink in sinks.values()])
    urls: dict[str, Any] = {f"provider_{name}": f"{sink.url}?starttls=off" for name, sink in sinks.items()}
    numbers = fill(scene.system.port, MAIL, scene.size)
    scene.accepted = {id: MAIL.document(number)["recipient"] for id, number in numbers.items()}
    for _ in range(GROUPS):
        scene.system.start_workers(threads=THREADS, smtp_url="", **urls)
    wait_until(lambda: scene.arrivals.mails() > scene.size // 10, "a tenth of the mails", WITHIN)
    sinks["a"].mailbox.refuse(refuse=True)
    taken = sinks["a"].mailbox.count().mails
    wait_until(lambda: _elsewhere(scene) == 0, "the end of all but those that wait for the killed provider", WITHIN)
    waiting = _count(scene, "status IN ('pending', 'processing')")
    charged = _count(scene, "retry_count > 0 AND bound_provider IS NULL AND status <> 'sent'")
    sinks["a"].mailbox.refuse(refuse=False)
    scene.healed()
    scene.finish()
    _judge(scene, taken, waiting, charged)


def _judge(scene: Scene, taken: int, waiting: int, charged: int) -> None:
    sql = "SELECT count(DISTINCT notification_id) FROM attempts WHERE outcome = 'uncertain' OR phase = 'content'"
    unknown = scene.system.sql.rows(f"{sql} AND outcome <> 'sent'")[0][0]
    retried = _count(scene, "retry_count > 0")
    scene.promise(charged == 0 and retried <= unknown, "an attempt was charged for a mail that certainly was not taken")
    scene.note = (
        f"{taken:,} through the provider before it was killed; {waiting} may have been taken by it and waited for it; "
        f"{max(0, retried - unknown)} attempts charged for others"
    )


def _elsewhere(scene: Scene) -> int:
    """Return the number of mails that are not sent and may go through any provider, twice a second."""
    time.sleep(0.5)
    return _count(scene, "status IN ('pending', 'processing') AND bound_provider IS DISTINCT FROM 'a'")


def _count(scene: Scene, which: str) -> int:
    return int(scene.system.sql.rows(f"SELECT count(*) FROM notifications WHERE {which}")[0][0])


SETTINGS: dict[str, object] = {"relay_grace": 10, "worker_timeout": 30}
# The outcome of what was on its way is unknown: at most AHEAD mails of each connection to the killed provider.
DOUBT = AHEAD * CONNECTIONS
WHAT = f"one of three providers killed in {SIZE:,} mails"
ROWS.append(Row("three", WHAT, one_of_three, SIZE, False, DOUBT, 0, SETTINGS, large=True))
