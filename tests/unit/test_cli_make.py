"""The Makefile, as far as it can be read without running it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def _make(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *words],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_alone_runs_the_system() -> None:
    assert _make("-n").stdout == _make("-n", "run").stdout


def test_run_becomes_notify_up_on_data_beside_the_makefile() -> None:
    *_, last = _make("-n", "run").stdout.splitlines()

    assert last == f'exec env DATA_DIR="${{DATA_DIR:-{ROOT}/.data}}" .venv/bin/notify up'


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "SMTP_URL", "MAIL_FROM", "AUTH", "BIND", "DATA_DIR"])
def test_the_tests_do_not_see_the_servers_of_the_caller(name: str) -> None:
    *_, last = _make("-n", "test").stdout.splitlines()

    assert f" -u {name} " in last
    assert last.endswith(".venv/bin/pytest -n 4 --dist loadfile")


def test_a_python_that_is_too_old_is_said(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("setup.cfg", "pyproject.toml"):
        (tmp_path / name).touch()
    old = tmp_path / "python-old"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)

    done = _make("-C", str(tmp_path), "run", f"PYTHON={old}")

    assert done.returncode == 2
    assert f"Python 3.11 or newer is needed and {old} is not that" in done.stderr
    assert not (tmp_path / ".venv").exists()
