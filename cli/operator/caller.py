"""Actor of the commands that write to the database directly, for the audit log."""

from __future__ import annotations

import getpass

from db.audit import By


def by() -> By:
    """Return the current user of the operating system as the actor, without a name where it has none."""
    try:
        return By("cli", name=getpass.getuser())
    except (OSError, KeyError):  # In a container the user id may have no name.
        return By("cli")
