"""Settings for code that runs inside the tests' own process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import settings

# Of the caller's environment only what says where programs, files and words are. All else might steer the
# product (DATABASE_URL), a library (PGHOST, OTEL_...), or a tool that a test runs (GIT_DIR, NO_COLOR, HTTP_PROXY).
KEPT = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "CI", "CHROMIUM"}
)
KEPT_PREFIXES = ("LC_", "PYTHON", "PYTEST_", "HYPOTHESIS_", "PLAYWRIGHT_")


def cleared() -> dict[str, str]:
    """Return the environment of the caller without variables that change the product, its libraries or its tools."""
    return {k: v for k, v in os.environ.items() if k in KEPT or k.startswith(KEPT_PREFIXES)}


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
