"""Commands for operators, run on the database of the module."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from cli.main import notify
from db.database import bind, database
from settings import Settings
from tests.environment import configured


class Operator:
    """Runs commands with these settings; this thread's connection is open again afterwards."""

    def __init__(self, store: Settings) -> None:
        self._store = store
        self.environ: dict[str, str] = {}  # what `configured` would refuse

    def __call__(self, *words: str, **values: object) -> Result:
        database.close()
        with configured(**{"database_url": self._store.database.url, **values}):
            result = CliRunner().invoke(notify, list(words), env=self.environ)
        bind(self._store.database)
        database.connect(reuse_if_open=True)
        return result

    def json(self, *words: str, **values: object) -> list[Any]:
        """Run with --json; return the documents, one for each line of the output."""
        result = self(*words, "--json", **values)
        return [json.loads(line) for line in result.stdout.splitlines()]
