"""Find the SQL in the source that may write the status of a notification."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

UNKNOWN = "{?}"  # what only the running program can tell
_TABLE = r"(?:notifications|\{\?\})"
_UPDATE = re.compile(rf"\bUPDATE\s+(?:ONLY\s+)?{_TABLE}(?:\s+(?:AS\s+)?\w+)?\s+SET\b", re.I)
_INSERT = re.compile(rf"\bINSERT\s+INTO\s+{_TABLE}(?:\s+AS\s+\w+)?\s*(\([^)]*\))?(.*)", re.I | re.S)
_CONFLICT = re.compile(r"\bDO\s+UPDATE\s+SET\b", re.I)
_MERGE = re.compile(rf"\bMERGE\s+INTO\s+{_TABLE}", re.I)
_END = re.compile(r"\b(FROM|WHERE|RETURNING)\b", re.I)
_COMMENT = re.compile(r"--[^\n]*")


def writers(paths: Iterator[Path], root: Path) -> dict[str, set[str]]:
    """By "update" and "insert", the files below `root` with a statement that may write a status."""
    found: dict[str, set[str]] = {"update": set(), "insert": set()}
    for path in paths:
        for sql in statements(path.read_text(), _namespace(path, root)):
            for kind in writes(sql):
                found[kind].add(path.relative_to(root).as_posix())
    return found


def statements(source: str, namespace: Mapping[str, Any]) -> Iterator[str]:
    """Each string of a module, with what `namespace` knows of its placeholders filled in."""
    tree = ast.parse(source)
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(_part(part, namespace) for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.value


def writes(sql: str) -> set[str]:
    """Which of "update" and "insert" this SQL may do to the status of a notification."""
    sql = _COMMENT.sub("", sql)
    kinds = {"update" for match in _UPDATE.finditer(sql) if _assigns(sql[match.end() :])}
    for match in _INSERT.finditer(sql):
        columns = match[1] or UNKNOWN
        if re.search(r"\bstatus\b", columns, re.I) or UNKNOWN in columns:
            kinds.add("insert")
        kinds |= {"update" for found in _CONFLICT.finditer(match[2]) if _assigns(match[2][found.end() :])}
    return kinds | ({"update", "insert"} if _MERGE.search(sql) else set())


def _assigns(after_set: str) -> bool:
    """Whether `status`, or what is not known, is on the left of an assignment."""
    row = re.match(r"\s*(?:ROW)?\s*\(([^)]*)\)\s*=", after_set, re.I)
    if row and re.search(r"\bstatus\b|\{\?\}", row[1], re.I):
        return True
    outer = _END.split(_outside_of_brackets(after_set))[0]
    return any(re.match(r'\s*(?:"?status"?\s*=|\{\?\})', part, re.I) for part in outer.split(","))


def _outside_of_brackets(text: str) -> str:
    """What is in no bracket, up to one that closes the statement's own."""
    depth, kept = 0, []
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 0:
            break
        if depth == 0:
            kept.append(character)
    return "".join(kept)


def _part(node: ast.expr, namespace: Mapping[str, Any]) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    assert isinstance(node, ast.FormattedValue)
    try:
        return str(eval(compile(ast.Expression(node.value), "placeholder", "eval"), dict(namespace)))
    except NameError:
        return UNKNOWN


def _namespace(path: Path, root: Path) -> dict[str, Any]:
    """What a module knows at its top; nothing where its strings have no placeholder in an UPDATE or INSERT."""
    if not re.search(r"\b(UPDATE|INSERT|MERGE)\b", path.read_text(), re.I) or "{" not in path.read_text():
        return {}
    module = importlib.import_module(path.relative_to(root).with_suffix("").as_posix().replace("/", "."))
    return vars(module)
