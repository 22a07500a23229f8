"""Servers of a running `notify up`, for commands without DATABASE_URL and REDIS_URL."""

from __future__ import annotations

import os

from cli.servers import postgres, valkey
from cli.up import data
from settings import Settings, SettingsError


def joined(chosen: Settings) -> Settings:
    """Fill in DATABASE_URL and REDIS_URL, where they are not set, from the `notify up` that runs on DATA_DIR."""
    if chosen.database.url and chosen.redis.url:
        return chosen
    place = data.runtime_of_another(data.root(os.environ))
    return chosen.changed(
        DATABASE_URL=chosen.database.url or (place and postgres.url_of_another(place)) or "",
        REDIS_URL=chosen.redis.url or (place and valkey.url_of_another(place)) or "",
    )


def required(chosen: Settings) -> Settings:
    """Do the same as `joined`. Raises SettingsError where that finds no database."""
    found = joined(chosen)
    if not found.database.url:
        raise SettingsError(
            f"DATABASE_URL is not set, and no `notify up` of this user runs on {data.root(os.environ).path}: "
            "set DATABASE_URL, or set DATA_DIR to the data of a running `notify up`"
        )
    return found
