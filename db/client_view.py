"""The view of the table `notifications` that every read for a client uses. It has no callbacks.

Callbacks are rows of the same table, because workers claim, retry and settle them like any other notification.
A client must never meet one as a notification of its own. So a read for a client names VIEW or `select`, never the
table; tests/unit/test_client_view.py lists the modules that may name the table.
"""

from __future__ import annotations

from typing import Any

from db.models import Notification

# For FROM, with an alias. PostgreSQL folds the subquery into the statement, so plans are the same as for the table.
VIEW = "(SELECT *, xmin FROM notifications WHERE callback_id IS NULL)"

# For WHERE, in statements that must lock or change rows of the table itself.
GUARD = "callback_id IS NULL"


def select(*columns: Any) -> Any:
    """Return a Peewee query for these columns of Notification, in the rows of VIEW."""
    return Notification.select(*columns).where(Notification.callback_id.is_null())
