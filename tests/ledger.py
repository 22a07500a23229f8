"""Older names of what `tests.queries` has."""

from tests.queries import Queries as Ledger  # alias
from tests.queries import Tally, wait_past_stuck_after  # alias

__all__ = ["Ledger", "Tally", "wait_past_stuck_after"]
