"""Fail skipped tests in CI, unless the beginning of the reason is listed here."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping

import pytest

# By the reason: why CI may skip for it. What an installation would mend does not belong here.
FORESEEN: Mapping[str, str] = {
    "only root ": "an ordinary user can neither choose a user nor run Postfix; a run as root has these tests",
    "kubectl is not installed": "Debian's (1.20) knows no kustomize components; the manifests are checked without it",
    "git has no older code": "a copy of the project without its history has no previous version to run",
}


def in_ci() -> bool:
    """Return True if CI is set, and to something else than no."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Of one test, or of the fixture that skips it."""
    report = yield
    _fail_if_unforeseen(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Of a module that skips all its tests."""
    report = yield
    _fail_if_unforeseen(report)
    return report


def _fail_if_unforeseen(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not (in_ci() and report.skipped) or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith(tuple(FORESEEN)):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {reason}\ninstall what it needs in .ci/run, or give a reason in {__name__}"
