"""Names out of the database, for the shell to offer. Whatever is wrong, Tab must not show an error."""

from __future__ import annotations

from dataclasses import replace

import settings
from cli.up import running
from db import clients as table
from db import database
from settings import SettingsError

PATIENCE = 1  # seconds that somebody who has pressed Tab waits
MOST = 200


def clients(begun: str) -> list[str]:
    """Names of clients that begin so, among the first MOST; none where the database does not answer."""
    try:
        chosen = running.joined(settings.load())
        database.bind(replace(chosen, db_connect_timeout=PATIENCE, db_statement_timeout=PATIENCE))
        with database.connection():
            found = [client.name for client in table.listed(0, MOST)]
    except (SettingsError, database.Unavailable):
        return []
    finally:
        if not database.database.is_closed():
            database.database.close()
    return [name for name in found if name.startswith(begun)]
