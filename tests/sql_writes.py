"""Find the SQL in the source that may write the status of a notification."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

UNKNOWN = "{?}"  # a part of a string that only the running program knows
_TABLE = r"(?:notifications|\{\?\})"
_UPDATE = re.compile(rf"\bUPDATE\s+(?:ONLY\s+)?{_TABLE}(?:\s+(?:AS\s+)?\w+)?\s+SET\b", re.I)
_INSERT = re.compile(rf"\bINSERT\s+INTO\s+{_TABLE}(?:\s+AS\s+\w+)?\s*(\([^)]*\))?(.*)", re.I | re.S)
_CONFLICT = re.compile(r"\bDO\s+UPDATE\s+SET\b", re.I)
_MERGE = re.compile(rf"\bMERGE\s+INTO\s+{_TABLE}", re.I)
_END = re.compile(r"\b(FROM|WHERE|RETURNING)\b", re.I)
_COMMENT = re.compile(r"--[^\n]*")
# What `str.format` or psycopg2's SQL fills in.
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")


def writers(paths: Iterator[Path], root: Path) -> dict[str, set[str]]:
    """Return the files below `root` with a statement that may write a status, by "update" and "insert"."""
    found: dict[str, set[str]] = {"update": set(), "insert": set()}
    for path in paths:
        for sql in statements(path.read_text(), namespace(path, root)):
            for kind in writes(sql):
                found[kind].add(path.relative_to(root).as_posix())
    return found


def statements(source: str, known: Mapping[str, Any]) -> Iterator[str]:
    """Yield each string of a module, joined where it is concatenated, with the placeholders of `known` filled in."""
    yield from _strings(ast.parse(source), known)


def writes(sql: str) -> set[str]:
    """Return "update" and "insert" if this SQL may do that to the status of a notification."""
    sql = _PLACEHOLDER.sub(UNKNOWN, _COMMENT.sub("", sql))
    kinds = {"update" for match in _UPDATE.finditer(sql) if _assigns(sql[match.end() :])}
    for match in _INSERT.finditer(sql):
        columns = match[1] or UNKNOWN
        if re.search(r"\bstatus\b", columns, re.I) or UNKNOWN in columns:
            kinds.add("insert")
        kinds |= {"update" for found in _CONFLICT.finditer(match[2]) if _assigns(match[2][found.end() :])}
    return kinds | ({"update", "insert"} if _MERGE.search(sql) else set())


def _assigns(after_set: str) -> bool:
    """Return whether `status`, or a name that is not known, is on the left of an assignment."""
    row = re.match(r"\s*(?:ROW)?\s*\(([^)]*)\)\s*=", after_set, re.I)
    if row and re.search(r"\bstatus\b|\{\?\}|%s", row[1], re.I):
        return True
    outer = _END.split(_outside_of_brackets(after_set))[0]
    return any(re.match(r'\s*(?:"?status"?\s*=|\{\?\}|%s)', part, re.I) for part in outer.split(","))


def _outside_of_brackets(text: str) -> str:
    """Return the text that is in no bracket, up to a bracket that closes the statement's own."""
    depth, kept = 0, []
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 0:
            break
        if depth == 0:
            kept.append(character)
    return "".join(kept)


def _strings(node: ast.AST, known: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # a docstring
        return
    text = _text(node, known)
    if text is not None:
        yield text
    parts = [node.left, node.right] if isinstance(node, ast.BinOp) else ast.iter_child_nodes(node)
    for part in parts:
        if text is None or (isinstance(node, ast.BinOp) and _text(part, known) is None):
            yield from _strings(part, known)


def _text(node: ast.AST, known: Mapping[str, Any]) -> str | None:
    """Return a string or a concatenation of strings as text; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_part(part, known) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = _text(node.left, known), _text(node.right, known)
        if parts != (None, None):
            return "".join(UNKNOWN if part is None else part for part in parts)
    return None


def _part(node: ast.expr, known: Mapping[str, Any]) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    assert isinstance(node, ast.FormattedValue)
    try:
        return str(eval(compile(ast.Expression(node.value), "placeholder", "eval"), dict(known)))
    except NameError:
        return UNKNOWN


def namespace(path: Path, root: Path) -> dict[str, Any]:
    """Return the globals of a module, or nothing if it has no SQL with a placeholder."""
    if not re.search(r"\b(SELECT|UPDATE|INSERT|MERGE)\b", path.read_text(), re.I) or "{" not in path.read_text():
        return {}
    module = importlib.import_module(path.relative_to(root).with_suffix("").as_posix().replace("/", "."))
    return vars(module)
