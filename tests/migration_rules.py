"""The rules of docs/upgrades.md for authors of migrations, as far as the SQL shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from db import blocks
from db.migrations.indexes import Index
from db.migrations.phases import is_after
from db.migrations.steps import Repeated, Statement, Step

# Migrations up to this one are older than the first release that promises upgrades without a stop.
EXEMPT = 13
# Those that may have millions of rows: nothing may read or rewrite them while it holds others up.
LARGE = {*blocks.TABLES, "idempotency_keys", "suppressions"}
COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
# Text and bodies of functions: their semicolons and words are nobody's business here.
QUOTED = re.compile(r"\$(\w*)\$.*?\$\1\$|'(?:[^']|'')*'", re.DOTALL)
TABLE = r"(?:IF EXISTS |IF NOT EXISTS )?(?:ONLY )?\"?(\w+)"
VOLATILE = r"DEFAULT \(?(?:clock_timestamp|random|gen_random_uuid|nextval|uuid\w*|timeofday)\b"


class Seen(NamedTuple):
    """One statement, in one line; which transaction of the migration it is in, and what was there before it."""

    sql: str
    beside: int  # statements in the same transaction
    made: frozenset[str]  # tables that this migration has created
    validated: frozenset[str]  # tables of which a CHECK was validated in an earlier step

    def of(self, words: str) -> set[str]:
        """Tables that follow these words, but those that the migration itself has made."""
        return set(re.findall(rf"{words} {TABLE}", self.sql, re.I)) - self.made

    def has(self, pattern: str) -> bool:
        """Return True if a pattern is found, in upper or lower case."""
        return re.search(pattern, self.sql, re.I) is not None

    @property
    def altered(self) -> set[str]:
        """Tables that were there before this migration and are altered."""
        return self.of(r"^ALTER TABLE")


def _replaces(seen: Seen) -> bool:
    """Return True if every constraint that is dropped is made again, wider perhaps, by the same statement."""
    dropped = set(re.findall(r"DROP CONSTRAINT (?:IF EXISTS )?(\w+)", seen.sql, re.I))
    return dropped <= set(re.findall(r"ADD CONSTRAINT (\w+)", seen.sql, re.I))


def _lacks_default(seen: Seen) -> bool:
    added = re.findall(r"ADD COLUMN (.*?)(?=, *(?:ADD|DROP|ALTER) |$)", seen.sql, re.I)
    return any("NOT NULL" in c.upper() and "DEFAULT" not in c.upper() for c in added)


Rule = tuple[Callable[[Seen], object], str]
TAKES: tuple[Rule, ...] = (
    (
        lambda s: s.has(r"^DROP (?!CONSTRAINT)") or s.has(r"\bDROP (?:COLUMN|IDENTITY|EXPRESSION|DEFAULT)"),
        "drops what older programs may use: do it in a migration named ..._after",
    ),
    (lambda s: not _replaces(s), "drops a constraint and does not make it again: do it in ..._after"),
    (lambda s: s.has(r"^TRUNCATE\b"), "empties a table: do it in ..._after"),
    (lambda s: s.altered and s.has("SET NOT NULL"), "older programs may write NULL: SET NOT NULL in ..._after"),
    (
        lambda s: s.altered and _lacks_default(s),
        "older programs do not know the column: give it a DEFAULT or let it be NULL",
    ),
    (
        lambda s: s.altered and s.has(r"ADD (?:CONSTRAINT \w+ )?(?:UNIQUE|PRIMARY KEY|FOREIGN KEY|EXCLUDE)"),
        "older programs may break the constraint: do it in ..._after",
    ),
)
HOLDS: tuple[Rule, ...] = (
    (lambda s: s.has(r"\bRENAME\b"), "no version knows both names: add, copy, and drop in ..._after"),
    (
        lambda s: s.altered & LARGE and s.has(r"\b(?:SET DATA )?TYPE \w"),
        "rewrites a large table: add a column, copy, drop",
    ),
    (
        lambda s: s.altered & LARGE and s.has(VOLATILE),
        "rewrites a large table: add it without DEFAULT, then SET DEFAULT",
    ),
    (
        lambda s: s.altered & LARGE and s.has(r"ADD COLUMN [^,]*(?:GENERATED|SERIAL)"),
        "rewrites a large table: fill a plain column with Repeated",
    ),
    (
        lambda s: (
            s.altered & LARGE and s.has(r"ADD (?:CONSTRAINT \w+ )?(?:CHECK|FOREIGN KEY)") and not s.has("NOT VALID")
        ),
        "reads a large table under a lock: ADD CONSTRAINT ... NOT VALID, and VALIDATE in a step of its own",
    ),
    (
        lambda s: s.has("VALIDATE CONSTRAINT") and s.beside,
        "VALIDATE keeps the locks of its transaction: a step of its own",
    ),
    (
        lambda s: s.altered & LARGE and s.has("SET NOT NULL") and not s.altered <= s.validated,
        "reads a large table under a lock: VALIDATE a CHECK (... IS NOT NULL) in an earlier step",
    ),
    (
        lambda s: s.has(r"^CREATE (?:UNIQUE )?INDEX") and s.of(r"\bON") & LARGE,
        "keeps writers out while it builds: use Index(...)",
    ),
    (lambda s: s.has("CONCURRENTLY"), "cannot be in a transaction: use Index(...)"),
    (
        lambda s: (s.of("^UPDATE") | s.of("^DELETE FROM")) & LARGE,
        "keeps rows locked until the last one is done: use Repeated(...) with a LIMIT",
    ),
    (lambda s: s.has(r"^LOCK\b"), "LOCK TABLE holds everybody up: find a way without"),
    (
        lambda s: s.has(r"^(?:CLUSTER|VACUUM|REINDEX)\b|SET (?:TABLESPACE|LOGGED|UNLOGGED)"),
        "rewrites a table: not here",
    ),
)


def statements(sql: str) -> list[str]:
    """Each in one line, without comments and with nothing between quotes."""
    bare = QUOTED.sub("''", COMMENTS.sub(" ", sql))
    return [line for part in bare.split(";") if (line := " ".join(part.split()))]


def faults(name: str, module: Any) -> list[str]:
    """Return the rules that a migration breaks, each in a sentence with the statement."""
    steps: tuple[Step, ...] | None = getattr(module, "STEPS", None)
    if steps is None and isinstance(sql := getattr(module, "SQL", None), str):
        steps = (Statement(sql),)
    if steps is None:
        return [f"{name}: has neither STEPS nor SQL to read"]
    rules = HOLDS if is_after(name) else TAKES + HOLDS
    return [f"{name}: {why}: {seen.sql}" for seen in _seen(steps) for broken, why in rules if broken(seen)] + [
        f"{name}: has no LIMIT: {step.sql}" for step in steps if isinstance(step, Repeated) and "LIMIT" not in step.sql
    ]


def _seen(steps: tuple[Step, ...]) -> Iterator[Seen]:
    made: frozenset[str] = frozenset()
    validated: frozenset[str] = frozenset()
    for step in steps:
        if isinstance(step, Index | Repeated):
            continue
        lines = statements(step.sql)
        for line in lines:
            seen = Seen(line, len(lines) - 1, made, validated)
            yield seen
            made |= seen.of("^CREATE TABLE")
        validated |= {
            table
            for line in lines
            if "VALIDATE CONSTRAINT" in line.upper()
            for table in Seen(line, 0, made, validated).altered
        }
