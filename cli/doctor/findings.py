"""Findings of the doctor: the fact, its level, and the fix."""

from __future__ import annotations

from typing import NamedTuple

OK, WARNING, PROBLEM = "ok", "warning", "problem"
LEVELS = (OK, WARNING, PROBLEM)  # from the best to the worst


class Finding(NamedTuple):
    """Finding of a check. `what` is the fact and `fix` what to do, empty if all is well. Neither holds a secret."""

    check: str
    level: str
    what: str
    fix: str = ""


def ok(check: str, what: str) -> Finding:
    return Finding(check, OK, what)


def warning(check: str, what: str, fix: str) -> Finding:
    """Return a finding on something that works now but may fail later."""
    return Finding(check, WARNING, what, fix)


def problem(check: str, what: str, fix: str) -> Finding:
    """Return a finding on something that does not work, or that can lose accepted notifications."""
    return Finding(check, PROBLEM, what, fix)


def worst(findings: list[Finding]) -> str:
    return max((finding.level for finding in findings), key=LEVELS.index, default=OK)
