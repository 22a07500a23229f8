"""The servers that a `notify up` on this machine runs, for commands that are told of no others."""

from __future__ import annotations

import os
from dataclasses import replace

from cli.servers import postgres, valkey
from cli.up import data
from settings import Settings


def joined(chosen: Settings) -> Settings:
    """With DATABASE_URL and REDIS_URL of the `notify up` that runs on DATA_DIR, where they are not set."""
    if chosen.database_url and chosen.redis_url:
        return chosen
    place = data.runtime_of_another(data.root(os.environ))
    return replace(
        chosen,
        database_url=chosen.database_url or (place and postgres.url_of_another(place)) or "",
        redis_url=chosen.redis_url or (place and valkey.url_of_another(place)) or "",
    )
