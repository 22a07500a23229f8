"""PostgreSQL unreachable, read-only or full: requests get 503 with Retry-After, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.servers.postgres import Postgres
from tests import embedded
from tests.acceptance import troubles
from tests.acceptance.world import World
from tests.client import Response
from tests.eventually import eventually, outlast
from tests.proxy import Proxy
from tests.queries import Tally
from tests.smtp import Hang, SmtpServer
from tests.system import QUICK, System

pytestmark = pytest.mark.long

FEW = {**embedded.CARELESS, "max_connections": "40"}
THREADS = 4


class Server(World):
    """A world whose PostgreSQL is its own, and whose workers reach it over a network that can be cut."""

    def __init__(self, system: System, mail_server: SmtpServer, postgres: Postgres, network: Proxy) -> None:
        super().__init__(system, mail_server)
        self.postgres, self.network = postgres, network


@pytest.fixture(scope="module")
def world(module_redis_url: str, mail_server: SmtpServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """gunicorn, and one group of workers behind the network."""
    with (
        embedded.short_directory() as directory,
        embedded.postgres(directory, FEW) as postgres,
        embedded.Databases(postgres).new() as url,
        Proxy.of_database(url) as network,
    ):
        logs: Path = tmp_path_factory.mktemp("database")
        system = System(logs, database_url=url, redis_url=module_redis_url, smtp_url=mail_server.url)
        try:
            system.start_api()
            # Mails leave one thread to the other channels and to more urgent ones.
            system.start_workers(threads=THREADS + 1, database_url=network.through(url))
            yield Server(system, mail_server, postgres, network)
        finally:
            system.stop()


def test_mails_taken_while_the_database_was_cut_off_are_recorded_when_it_is_back(world: Server) -> None:
    before = world.system.sql.worker_pids()
    world.mail_server.on("dot", Hang(), times=THREADS)
    accepted = world.post(50)
    eventually(lambda: world.mail_server.hanging == THREADS)
    world.network.cut()
    world.mail_server.release()
    eventually(lambda: len(world.mail_server.mails) >= THREADS)
    # Nobody may be taken for dead only because nobody could report.
    outlast(1.3 * float(QUICK["WORKER_TIMEOUT"]))
    assert world.system.sql.statuses(list(accepted))["sent"] == 0
    world.network.mend()
    assert world.tally(accepted) == Tally.perfect(50)
    assert world.system.sql.worker_pids() == before


TROUBLES = {
    "read-only": lambda world: troubles.read_only(world.postgres, world.system),
    "too many connections": lambda world: troubles.too_many_connections(world.postgres, world.system),
    "disk full": lambda world: troubles.disk_full(world.system),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_database_that_refuses_writes_is_a_503_and_pauses_sending(world: Server, trouble: str) -> None:
    world.mail_server.delay = 0.02
    accepted = world.post(60)
    eventually(lambda: len(world.mail_server.mails) > 5)
    with TROUBLES[trouble](world):
        refused = eventually(lambda: only_503(world.system.client.notify(world.recipient())))
        assert refused is not None
        assert int(refused.headers["retry-after"]) > 0
        outlast(1.0)
        assert only_503(world.system.client.notify(world.recipient()))
    assert world.tally(accepted) == Tally.perfect(60)
    assert world.tally(eventually(lambda: one_more(world))) == Tally.perfect(1)


def only_503(answer: Response) -> Response | None:
    """The answer, if it is a 503; fails where it is neither that nor a 201."""
    assert answer.status in (201, 503), answer
    return answer if answer.status == 503 else None


def one_more(world: Server) -> dict[int, str]:
    """A notification that is accepted again."""
    recipient = world.recipient()
    answer = world.system.client.notify(recipient)
    return {answer.json["id"]: recipient} if answer.status == 201 else {}
