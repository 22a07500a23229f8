"""What the doctor finds: what is so, how bad that is, and the fix."""

from __future__ import annotations

from typing import NamedTuple

OK, WARNING, PROBLEM = "ok", "warning", "problem"
LEVELS = (OK, WARNING, PROBLEM)  # from the best to the worst


class Finding(NamedTuple):
    """`check`: what was looked at. `what` and `fix` are sentences; what is in order has no fix. Never a secret."""

    check: str
    level: str
    what: str
    fix: str = ""


def ok(check: str, what: str) -> Finding:
    return Finding(check, OK, what)


def warning(check: str, what: str, fix: str) -> Finding:
    """It works now, and may not tomorrow."""
    return Finding(check, WARNING, what, fix)


def problem(check: str, what: str, fix: str) -> Finding:
    """Something does not work, or what was accepted can be lost."""
    return Finding(check, PROBLEM, what, fix)


def worst(findings: list[Finding]) -> str:
    return max((finding.level for finding in findings), key=LEVELS.index, default=OK)
