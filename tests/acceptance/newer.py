"""Workers of a version to come: `dramatiq tests.acceptance.newer`. They know the migrations in NEWER_MIGRATIONS."""

from __future__ import annotations

import os
from pathlib import Path

from db import database, migrations

migrations.DIRECTORY = Path(os.environ["NEWER_MIGRATIONS"])
database.KNOWN = max(path.name[:4] for path in migrations.DIRECTORY.glob("[0-9]*.py"))

import actors  # noqa: E402, F401 - makes the broker, which Dramatiq then finds
