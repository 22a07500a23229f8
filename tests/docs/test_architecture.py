"""docs/architecture.md names the functions that a notification passes through; each of them exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
NAMED = re.compile(r"`([\w/]+\.py):([\w.]+)`")
STEP = re.compile(r"^\d+\. (.*)$", re.MULTILINE)
MOST = 20  # steps in each of the two walks


def definitions(node: ast.AST, prefix: str = "") -> Iterator[str]:
    """Yield the qualified names of the classes and functions in a module."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{child.name}"
            yield from definitions(child, f"{prefix}{child.name}.")


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED.findall(PAGE))))
def test_each_function_of_a_walk_exists(file: str, name: str) -> None:
    assert name in set(definitions(ast.parse((ROOT / file).read_text())))


@pytest.mark.parametrize("walk", ["A notification on its way in", "A notification in a worker"])
def test_each_walk_has_at_most_twenty_steps_with_a_function(walk: str) -> None:
    steps = STEP.findall(PAGE.partition(f"## {walk}\n")[2].partition("\n## ")[0])
    assert MOST / 2 < len(steps) <= MOST
    assert [step for step in steps if len(NAMED.findall(step)) != 1] == []


def test_every_package_is_drawn_and_explained() -> None:
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    drawing = PAGE.partition("```text\n")[2].partition("```")[0]
    assert rooms == set(re.findall(r"^ (\w+)/", drawing, re.MULTILINE))
    assert rooms <= set(re.findall(r"^\| `(\w+)/` \|", PAGE, re.MULTILINE))
