"""The shop of tests/clients/shop in this process, on a database of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import django
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

SETTINGS = "tests.clients.shop.settings"
with mock.patch.dict(os.environ, DJANGO_SETTINGS_MODULE=SETTINGS):
    django.setup()
# Django has set the time zone of the process to that of the shop.
time.tzset()


def environment(database_url: str, base_url: str, key: str) -> dict[str, str]:
    """Return the variables that the settings of the shop read."""
    parts = urlsplit(database_url)
    options = parse_qs(parts.query)
    return {
        "SHOP_DATABASE": parts.path.removeprefix("/"),
        "SHOP_HOST": options["host"][0],
        "SHOP_PORT": options["port"][0],
        "SHOP_API": base_url,
        "SHOP_KEY": key,
        "DJANGO_SETTINGS_MODULE": SETTINGS,
    }


@contextmanager
def shop(variables: Mapping[str, str]) -> Iterator[None]:
    """Run the shop with these variables until the end of the block, its tables made by its migrations."""
    where: dict[str, Any] = {name: variables[f"SHOP_{name}"] for name in ("HOST", "PORT")}
    connections["default"].settings_dict.update(where, NAME=variables["SHOP_DATABASE"])
    try:
        with override_settings(NOTIFICATIONS={"url": variables["SHOP_API"], "key": variables["SHOP_KEY"]}):
            call_command("migrate", run_syncdb=True, verbosity=0)
            yield
    finally:
        connections["default"].close()
