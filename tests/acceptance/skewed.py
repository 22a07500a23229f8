"""`dramatiq tests.acceptance.skewed`: workers whose clock is CLOCK_OFF_BY seconds ahead; negative is behind."""

from __future__ import annotations

import os
import time
from unittest import mock

_OFF_BY = float(os.environ["CLOCK_OFF_BY"])
_true = time.time


def _skewed() -> float:
    return _true() + _OFF_BY


# First of all, so that whoever takes the function itself takes this one.
mock.patch.object(time, "time", _skewed).start()

import actors  # noqa: E402, F401 - makes the broker, which Dramatiq then finds
