"""A refused connection means that the server is down only if no other one has worked since it was tried."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import cast

import pytest

from actors.channels.connections import Connections
from actors.channels.email.smtp import Connection
from tests import loops

MOST = 20


@dataclass(eq=False)
class Conversation:
    """The part of an SMTP connection that Connections looks at."""

    alive: bool = True


@pytest.mark.parametrize(("alive", "others_worked"), [(True, True), (False, False)], ids=["in order", "broken"])
def test_a_connection_closed_during_a_refusal_counts_if_it_was_open_at_the_time(
    *, alive: bool, others_worked: bool
) -> None:
    connections, other = Connections(MOST), cast("Connection", Conversation())
    connections.opened(other)
    tried = time.monotonic()
    cast("Conversation", other).alive = alive
    connections.closed(other)
    assert loops.run(connections.refused(tried, reached=True, full=False)) is others_worked
    assert (connections.limit(time.monotonic()) < MOST) is others_worked
