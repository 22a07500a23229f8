"""Names from the database for shell completion. No error may reach the terminal of somebody who presses Tab."""

from __future__ import annotations

from dataclasses import replace

import settings
from cli.up import running
from db import clients as table
from db import database
from settings import SettingsError

TIMEOUT = 1  # seconds, for the connection and for the statement
MOST = 200  # clients


def clients(begun: str) -> list[str]:
    """Return the names of the first MOST clients that begin with `begun`; none if the database does not answer."""
    try:
        chosen = running.joined(settings.load())
        database.bind(replace(chosen, db_connect_timeout=TIMEOUT, db_statement_timeout=TIMEOUT))
        with database.connection():
            found = [client.name for client in table.listed(0, MOST)]
    except (SettingsError, database.Unavailable):
        return []
    finally:
        if not database.database.is_closed():
            database.database.close()
    return [name for name in found if name.startswith(begun)]
