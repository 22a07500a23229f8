"""When a migration may run: before the new version is there, or after the old one is gone.

The name says it, so that a version which does not know the migration can tell too: `0020_..._after` takes
away what only older versions needed, every other one adds what they do not notice.
"""

from __future__ import annotations

import re

from db.session import APPLICATION

AFTER = "_after"


def is_after(name: str) -> bool:
    """Whether it takes away what versions that do not know it need."""
    return name.endswith(AFTER)


def number(name: str) -> int:
    """Its number, the 20 of `0020_..._after`."""
    return int(name.partition("_")[0])


def known_to(application_name: str) -> int:
    """The number of the last migration that the program of a connection knows; 0 where it does not say."""
    found = re.match(rf"{APPLICATION} (\d+)(?= |$)", application_name)
    return int(found[1]) if found else 0
