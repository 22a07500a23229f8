"""Errors that end a process at its start."""

from __future__ import annotations

import sys
from typing import NoReturn

CANNOT_START = 4  # the exit code: a person must correct a setting or a server


class SettingsError(Exception):
    """A setting is missing or wrong. The message names the setting and the fix, and quotes no password."""


def cannot_start(reason: object) -> NoReturn:
    """Print the reason on stderr and exit with code CANNOT_START."""
    print(f"cannot start: {reason}", file=sys.stderr)  # noqa: T201
    sys.exit(CANNOT_START)
