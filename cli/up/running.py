"""Servers of a running `notify up`, for commands without DATABASE_URL and REDIS_URL."""

from __future__ import annotations

import os
from dataclasses import replace

from cli.servers import postgres, valkey
from cli.up import data
from settings import Settings


def joined(chosen: Settings) -> Settings:
    """Fill in DATABASE_URL and REDIS_URL, where they are not set, from the `notify up` that runs on DATA_DIR."""
    if chosen.database_url and chosen.redis_url:
        return chosen
    place = data.runtime_of_another(data.root(os.environ))
    return replace(
        chosen,
        database_url=chosen.database_url or (place and postgres.url_of_another(place)) or "",
        redis_url=chosen.redis_url or (place and valkey.url_of_another(place)) or "",
    )
