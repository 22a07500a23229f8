"""The test suite itself: what it takes from its caller, and what it does with a skipped test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import cast
from unittest import mock

import pytest

from tests.conftest import pytest_collection_modifyitems
from tests.environment import cleared
from tests.processes import ROOT

FOREIGN = (
    "DATABASE_URL",
    "PROVIDER_X",
    "PGHOST",
    "DRAMATIQ_X",
    "OTEL_X",
    "GIT_DIR",
    "HTTP_PROXY",
    "NO_COLOR",
    "COLUMNS",
)


@pytest.mark.parametrize("name", [*FOREIGN, "NOTIFY_KEY", "DATA_DIR", "MAKEFLAGS", "SOURCE_DATE_EPOCH"])
def test_environment_variables_that_change_the_product_or_a_tool_are_removed_for_tests(name: str) -> None:
    with mock.patch.dict(os.environ, {name: "x", "PATH": "/bin", "TZ": "Asia/Kolkata", "LC_ALL": "C"}):
        kept = cleared()
    assert name not in kept
    assert (kept["PATH"], kept["TZ"], kept["LC_ALL"]) == ("/bin", "Asia/Kolkata", "C")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_a_run_that_ignores_a_signal_starts_programs_that_do_not(number: signal.Signals) -> None:
    ignoring = f"import signal; signal.signal({int(number)}, signal.SIG_IGN)"
    started = f"import signal; print(signal.getsignal({int(number)}) is not signal.SIG_IGN)"
    script = (
        f"{ignoring}; import os, subprocess, sys; from tests.conftest import _take_signals; _take_signals();"
        f"os.kill(os.getpid(), {int(number)});"  # Still ignored by the run itself.
        f"subprocess.run([sys.executable, '-c', {started!r}], check=True)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


class Item:
    """A collected test, with or without the mark `long`."""

    def __init__(self, name: str, mark: str = "") -> None:
        self.name, self.mark = name, mark

    def get_closest_marker(self, name: str) -> str | None:
        return self.mark if self.mark == name else None


def test_a_run_begins_with_the_long_tests_in_the_order_of_their_paths() -> None:
    items = [Item("a"), Item("b", "long"), Item("c"), Item("d", "long")]
    pytest_collection_modifyitems(cast("list[pytest.Item]", items))
    assert [item.name for item in items] == ["b", "d", "a", "c"]


SKIPPING = {
    "mark": 'import pytest\n@pytest.mark.skip(reason="{}")\ndef test_it(): pass\n',
    "call": 'import pytest\ndef test_it(): pytest.skip("{}")\n',
    "fixture": 'import pytest\n@pytest.fixture\ndef it(): pytest.skip("{}")\ndef test_it(it): pass\n',
    "module": 'import pytest\npytest.skip("{}", allow_module_level=True)\n',
}


EXPECTED = "import pytest\n@pytest.mark.xfail\ndef test_it(): assert False\n"


@pytest.mark.parametrize(
    ("reason", "ci", "outcome"),
    [
        ("nothing-like-it is not installed", "true", "1 failed, 1 xfailed, 3 errors"),
        ("nothing-like-it is not installed", "false", "4 skipped, 1 xfailed"),
        ("only root has a choice", "true", "4 skipped, 1 xfailed"),
    ],
)
def test_an_unexpected_skip_fails_in_ci(tmp_path: Path, reason: str, ci: str, outcome: str) -> None:
    for how, source in {**SKIPPING, "expected": EXPECTED}.items():
        (tmp_path / f"test_{how}.py").write_text(source.format(reason))
    words = ["-q", "-p", "tests.skips", "-p", "no:cacheprovider", "--continue-on-collection-errors", str(tmp_path)]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", *words]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1].startswith(f"{outcome} in ")
    assert (f"skipped in CI: {reason}\n" in done.stdout) == ("error" in outcome)
    assert (done.returncode == 0) == ("error" not in outcome)
