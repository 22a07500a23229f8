"""Reader of a page, which runs each block."""

from __future__ import annotations

import configparser
import re
import sys
import time
import tomllib
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

import playwright
import psycopg2
import yaml

from tests.docs.blocks import JAVASCRIPT, SHELL, Block
from tests.docs.documented import Documented
from tests.docs.likeness import missing
from tests.docs.schemas import invalid
from tests.docs.shell import Done, Shell

# Playwright brings a Node.js of its own.
NODE = Path(playwright.__file__).parent / "driver" / "node"
TIME_LIMIT = 10.0  # seconds for what a worker has to do first
# What changes nothing may be typed again until it shows what the page shows, as a person would.
CHANGES = re.compile(r"curl[^\n]*(?: -d| --data| -X)|notify (?!status|list|timeline|inbox|limits|\w+ (?:list|show))|>")


class Reader:
    """Executes blocks against a system that is as new; `faults` are sentences that name the line."""

    def __init__(self, system: Documented, place: Path, blocks: Path, time_limit: float = TIME_LIMIT) -> None:
        self._system, self._place, self._time_limit = system, place, time_limit
        environ = system.begin()
        (place / ".venv").symlink_to(sys.prefix)
        self._shell = Shell(place, blocks, environ)
        self._database_url = environ["DATABASE_URL"]

    def __enter__(self) -> Self:
        self._shell.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._shell.__exit__(kind, error, trace)

    def faults(self, block: Block) -> list[str]:
        """Return the faults of a block: what it says that is not true."""
        if block.not_run:
            return []
        text = self._system.addressed(block.text)
        if block.file:
            written = self._place / block.file
            written.unlink(missing_ok=True)  # It may be a link to a file of the project.
            written.write_text(text)
        try:
            return [f"line {block.line}: {fault}" for fault in self._executed(block)]
        except (ValueError, SyntaxError, psycopg2.Error, configparser.Error, yaml.YAMLError) as error:
            return [f"line {block.line}: {type(error).__name__}: {error}"]

    def _executed(self, block: Block) -> list[str]:
        text = self._system.addressed(block.text)
        if block.language in SHELL:
            return self._commands(block)
        if block.language in JAVASCRIPT:
            return self._javascript(block, text)
        if block.language == "python":
            return self._python(block, text)
        if block.language == "sql":
            return self._sql(text)
        return self._data(block, text)

    def _data(self, block: Block, text: str) -> list[str]:
        match block.language:
            case "json":
                return invalid(text, block.schema)
            case "yaml":
                list(yaml.safe_load_all(text))
            case "toml":
                tomllib.loads(text)
            case "ini":
                configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",)).read_string(text)
            case "" | "text" | "http" if block.file:
                pass
            case _:
                return [f"nobody knows how to execute {block.language or 'a block without a language'!r}"]
        return []

    def _commands(self, block: Block) -> list[str]:
        if block.file:
            return self._checked(f"bash -n '{block.file}'")
        commands, printed = self._system.addressed(block.commands), self._system.addressed(block.printed)
        deadline = time.monotonic() + self._time_limit
        while True:
            done = self._shell.run(commands)
            lacking = missing(printed, done.printed)
            if not lacking or CHANGES.search(commands) or time.monotonic() > deadline:
                break
        faults = done.faults(commands, printed)
        if lacking:
            faults.append(f"it does not print {lacking!r}")
        return faults and [*faults, _words(done)]

    def _python(self, block: Block, text: str) -> list[str]:
        compile(text, f"line {block.line}", "exec")
        if block.file:
            return []
        program = f"block-{block.line}.py"
        (self._place / program).write_text(text)
        return self._checked(f"python -W error {program}")

    def _javascript(self, block: Block, text: str) -> list[str]:
        program = block.file or f"block-{block.line}.mjs"
        (self._place / program).write_text(text)
        return self._checked(f"'{NODE}' {'--check ' if block.file else ''}'{program}'")

    def _checked(self, command: str) -> list[str]:
        done = self._shell.run(command + "\n")
        return done.failed and [*done.failed, _words(done)]

    def _sql(self, text: str) -> list[str]:
        """Rolled back: a page only shows what can be asked or done."""
        with closing(psycopg2.connect(self._database_url)) as connection, connection.cursor() as cursor:
            cursor.execute(text)
        return []


def _words(done: Done) -> str:
    return f"it printed: {done.printed.strip()[-2_000:]}"
