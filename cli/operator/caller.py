"""Who runs a command that speaks to the database itself, for the audit log."""

from __future__ import annotations

import getpass

from db.audit import By


def by() -> By:
    """The user of the system, as far as it has a name."""
    try:
        return By("cli", name=getpass.getuser())
    except (OSError, KeyError):  # A container may have a number only.
        return By("cli")
