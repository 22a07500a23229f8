"""What import-linter cannot see: modules that are no packages, and files that have grown."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"db", "actors", "api", "cli"}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
    return names


LOWEST = (
    "settings",
    "redis_address",
    "lifeline",
    "logs",
    "mailboxes",
    "redaction",
    "tracing",
    "telemetry",
    "metrics",
    "cells",
    "scrape",
)


@pytest.mark.parametrize("module", LOWEST)
def test_the_lowest_modules_know_nothing_of_the_packages(module: str) -> None:
    assert not {name.partition(".")[0] for name in imported(ROOT / f"{module}.py")} & PACKAGES


def test_only_one_module_speaks_smtp() -> None:
    users = {p.relative_to(ROOT).as_posix() for p in (ROOT / "actors").rglob("*.py") if "smtplib" in imported(p)}
    assert users == {"actors/channels/replies.py"}


def test_a_status_is_assigned_in_one_module_only() -> None:
    def assigns(path: Path) -> bool:
        return any(f"{word} status = " in path.read_text() for word in ("SET", "set"))

    found = {p.relative_to(ROOT).as_posix() for name in PACKAGES for p in (ROOT / name).rglob("*.py") if assigns(p)}
    assert found == {"db/lifecycle.py"}
