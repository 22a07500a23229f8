"""The phase of a migration: before the new version is deployed, or after the old one is gone.

The name of a migration tells its phase, also to a version that does not know the migration: `0020_..._after` removes
what only older versions needed; every other one adds what they do not notice.
"""

from __future__ import annotations

import re

from db.session import APPLICATION

AFTER = "_after"


def is_after(name: str) -> bool:
    """Return whether a migration removes what older versions need."""
    return name.endswith(AFTER)


def number(name: str) -> int:
    """Return the number of a migration, the 20 of `0020_..._after`."""
    return int(name.partition("_")[0])


def known_to(application_name: str) -> int:
    """Return the number of the last migration that the program of a connection knows; 0 if its name tells none."""
    found = re.match(rf"{APPLICATION} (\d+)(?= |$)", application_name)
    return int(found[1]) if found else 0
