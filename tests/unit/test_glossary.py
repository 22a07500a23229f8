"""The product uses the words of docs/glossary.md, and none of the private words that they replaced."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ("api", "actors", "cli", "db", "docker", "docs", "runtime", "settings")
PAGES = ("CONTRIBUTING.md", "README.md", "SECURITY.md", "gunicorn.conf.py")
READ = {".cfg", ".css", ".env", ".html", ".js", ".json", ".md", ".py", ".service", ".svg", ".toml", ".yaml", ".yml"}
# Published migrations never change, the reference is generated, and uPlot is somebody else's.
SKIPPED = ("db/migrations/", "docs/reference/", "api/dashboard/static/uplot", "api/dashboard/static/swagger")
# Words with a private meaning, and what to write instead. They appear nowhere, neither as names nor in texts.
WORDS = {
    "bell": "wake-up message",
    "bells": "wake-up messages",
    "budget": "attempts left",
    "budgets": "retry policy",
    "buried": "merged",
    "bury": "merge_dead",
    "crew": "live_workers",
    "doorbell": "broker",
    "hub": "event loop",
    "lane": "priority",
    "lanes": "priorities",
    "leash": "exec_with_parent_death",
    "ledger": "claim store",
    "lifeline": "process",
    "pulse": "live_stats",
    "rang": "enqueued",
    "ring": "enqueue",
    "ringing": "enqueueing",
    "rings": "enqueues",
    "rung": "enqueued",
    "shaking": "smtp_probe",
    "tallies": "counters",
    "tally": "counter",
    "verdict": "settlement row, or decision",
    "vitals": "process statistics",
}
# Ordinary words that had a private meaning as names in code. Texts may use them.
NAMES = {
    "Broken": "HttpError",
    "Cell": "value",
    "Door": "SessionMiddleware",
    "Double": "event loop",
    "Gateway": "NotificationStore",
    "Guest": "Reservation",
    "Ledger": "ClaimStore",
    "Patience": "SharedTimeout",
    "Room": "BodyMemory",
    "TELL": "enqueue_callback",
    "Turns": "fairness",
    "Unfit": "UrlRejected",
    "Vitals": "ProcessStats",
    "Watch": "waiter",
    "ahead": "next_message",
    "came": "committed",
    "cells": "multiprocess metrics",
    "come": "reserve",
    "following": "next_message",
    "give_way": "yield",
    "have_done": "run",
    "introduce": "pipelined envelope",
    "is_gone": "is_hard_bounce",
    "knock": "login rate",
    "note": "append_event",
    "outside": "run_in_thread",
    "permanence": "is_hard_bounce",
    "turns": "fairness",
    "ways": "priorities",
}
MODULES = {
    "bells",
    "cells",
    "door",
    "hub",
    "ledger",
    "lifeline",
    "permanence",
    "pulse",
    "shaking",
    "target",
    "turns",
    "watch",
}
# Columns and keys that keep an older word, because renaming them needs two releases (docs/upgrades.md).
COLUMNS = frozenset({"lane", "rung", "tallies"})
SQL = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|FROM|WHERE|SET|ON|AND|CASE)\b")
TEXT_WORD = re.compile(r"(?<![\w-])[A-Za-z]+(?![\w-])")


def files() -> Iterator[Path]:
    """Every file of the product that people write."""
    yield from (ROOT / page for page in PAGES)
    for folder in PRODUCT:
        for path in sorted((ROOT / folder).rglob("*")):
            name = str(path.relative_to(ROOT))
            if path.suffix in READ and not name.startswith(SKIPPED):
                yield path


def kept(word: str, line: str, path: Path) -> bool:
    """Return whether the line has the word as a column: in SQL, which db/ is full of, or in code quotes."""
    return word in COLUMNS and bool(path.is_relative_to(ROOT / "db") or SQL.search(line) or f"`{word}`" in line)


def texts(path: Path) -> Iterator[str]:
    """Yield each private word in the file, with its line and what to write instead."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        for word in TEXT_WORD.findall(line):
            if word.lower() in WORDS and not kept(word.lower(), line, path):
                yield f"{path.relative_to(ROOT)}:{number}: {word} -> {WORDS[word.lower()]}"


def names(path: Path) -> Iterator[str]:
    """Yield each private name that the Python file defines, with its line and what to write instead."""
    for node in ast.walk(ast.parse(path.read_text())):
        name = defined(node)
        if instead := NAMES.get(name.strip("_")):
            yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}: {name} -> {instead}"


def defined(node: ast.AST) -> str:
    """Return the name that a node defines, or an empty text."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
            return name
        case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
            return name
    return ""


def test_no_private_word_is_in_a_file_of_the_product() -> None:
    assert [found for path in files() for found in texts(path)] == []


def test_no_private_name_is_defined() -> None:
    assert [found for path in files() if path.suffix == ".py" for found in names(path)] == []


def test_no_module_has_a_private_name() -> None:
    assert [str(path.relative_to(ROOT)) for path in files() if path.suffix == ".py" and path.stem in MODULES] == []


def test_the_glossary_gives_each_word_one_meaning() -> None:
    words = re.findall(r"^\| ([a-z -]+) \| (.+) \|$", (ROOT / "docs" / "glossary.md").read_text(), flags=re.MULTILINE)
    entries = [word for word, _ in words if word != "word"]

    assert len(entries) >= 24
    assert entries == sorted(set(entries))


def words_of(findings: Iterator[str]) -> list[str]:
    return [finding.partition(" -> ")[0].rpartition(" ")[2] for finding in findings]


@pytest.fixture
def product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A product whose files the test writes."""
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("the relay rings the bell", ["rings", "bell"]),
        ("SELECT lane FROM notifications", []),
        ("a lane of its own", ["lane"]),
        ("monitoring, RING_SIZE and string", []),
    ],
)
def test_private_words_are_found_in_texts(product: Path, line: str, found: list[str]) -> None:
    page = product / "page.md"
    page.write_text(line)

    assert words_of(texts(page)) == found


def test_private_names_are_found_in_code(product: Path) -> None:
    module = product / "module.py"
    module.write_text("class Ledger:\n    def have_done(self, ahead): self._note = 1\n")

    assert sorted(words_of(names(module))) == ["Ledger", "_note", "ahead", "have_done"]
