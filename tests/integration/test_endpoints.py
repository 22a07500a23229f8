"""Callback endpoints in the database: their number, and their secrets."""

from __future__ import annotations

from functools import partial

import pytest

from db import callbacks
from db.callbacks import New
from db.database import rows
from tests.integration.racing import at_once
from tests.integration.test_enqueueing_callbacks import ALL, endpoint

pytestmark = pytest.mark.usefixtures("store")


def test_simultaneous_requests_do_not_exceed_the_limit_of_endpoints() -> None:
    new = New(1, "https://example.com/", "", ALL, "whsec_AAAA")
    made = at_once([partial(callbacks.create, new, 3)] * 8)
    assert sum(one is not None for one in made) == 3


def test_a_rotation_keeps_the_old_secret_until_the_overlap_is_over() -> None:
    id = endpoint()
    callbacks.rotate(1, id, "whsec_BBBB", 60)
    assert callbacks.signing([id])[id].secrets == ("whsec_BBBB", "whsec_AAAA")
    callbacks.rotate(1, id, "whsec_CCCC", 60)
    assert callbacks.signing([id])[id].secrets == ("whsec_CCCC", "whsec_BBBB")
    rows("UPDATE callbacks SET old_secret_until = now()")
    assert callbacks.signing([id])[id].secrets == ("whsec_CCCC",)
