"""One client's recipients close connections of the mail server: another client's mail is still sent."""

from __future__ import annotations

import pytest

from tests import keys
from tests.acceptance.conftest import NewWorld
from tests.acceptance.world import World
from tests.client import NOTIFICATIONS, Client, Response
from tests.eventually import eventually
from tests.smtp import Action, Drop, Reply

pytestmark = pytest.mark.long

POISONED = 200


@pytest.fixture(scope="module")
def world(new_world: NewWorld) -> World:
    """The API and two groups of workers, with probes as far apart as by default."""
    world = new_world(auth="required", probe_wait=5, probe_wait_max=60, retry_min_backoff=1, retry_max_backoff=5)
    world.system.start_api()
    for _ in range(2):
        world.system.start_workers()
    return world


def client(world: World, name: str) -> Client:
    """A new client of the API, with a key of its own."""
    caller = Client(world.system.port)
    caller.key = str(keys.key(world.system.sql, of=keys.client(world.system.sql, name)))
    return caller


@pytest.mark.parametrize(
    ("name", "action", "domain"),
    [
        ("one domain", Reply(421, "4.7.0 try again later"), "poison.example"),
        ("closed", Drop(), "closed.example"),
        ("many domains", Reply(421, "4.7.0 try again later"), "poison{}.example"),
    ],
)
def test_failing_recipients_of_one_client_do_not_stop_another(
    world: World, name: str, action: Action, domain: str
) -> None:
    poisoner, other = client(world, f"poisoner, {name}"), client(world, f"other, {name}")
    recipients = [f"{n}@{domain.format(n)}" for n in range(POISONED)]
    for recipient in recipients:
        world.mail_server.on("rcpt", action, to=recipient, times=None)
    for recipient in recipients:
        assert post(poisoner, recipient).status == 201
    eventually(lambda: len(world.mail_server.refusals) > 5, within=30)  # The breaker may have opened by then.
    mine = [world.recipient() for _ in range(5)]
    ids = [int(post(other, to, priority="high").json["id"]) for to in mine]
    eventually(lambda: world.system.sql.statuses(ids) == {"sent": 5}, within=40, saying=world.system.logs)


def post(caller: Client, recipient: str, **fields: object) -> Response:
    return caller.post(NOTIFICATIONS, {"type": "email", "recipient": recipient, "message": "Hello", **fields})
