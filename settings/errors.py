"""Errors of settings, and how a process ends with one."""

from __future__ import annotations

import sys
from typing import NoReturn

# Exit code if a person must correct a setting or a server.
CANNOT_START = 4


def cannot_start(reason: object) -> NoReturn:
    """End this process with one sentence."""
    print(f"cannot start: {reason}", file=sys.stderr)  # noqa: T201
    sys.exit(CANNOT_START)


class SettingsError(Exception):
    """A setting is missing or wrong. The message names the setting and the fix."""
