"""Settings for code that runs inside the tests' own process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from unittest import mock

import settings

STEERING = ("PG", "DRAMATIQ_", "GUNICORN_", "dramatiq_")


def cleared() -> dict[str, str]:
    """The caller's environment without what would steer the product or its libraries."""
    names = {field.name.upper() for field in fields(settings.Settings)}
    return {k: v for k, v in os.environ.items() if k not in names and not k.startswith(STEERING)}


@contextmanager
def configured(**values: object) -> Iterator[settings.Settings]:
    """Settings by their names in lower case, in force until the end of the block.

    What another module has kept from an earlier `settings.load()` does not change.
    """
    environ = {name.upper(): str(value) for name, value in values.items()}
    with mock.patch.dict(os.environ, environ):
        settings.load.cache_clear()
        yield settings.load()
    settings.load.cache_clear()
