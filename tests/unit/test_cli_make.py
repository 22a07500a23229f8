"""Commands that the targets of the Makefile run, in a copy of it whose environment is made already."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CALLER = {"DATABASE_URL": "postgresql://theirs", "AUTH": "off", "NOTIFY_KEY": "theirs", "GIT_DIR": "/theirs"}
STEERING = {"PYTHONOPTIMIZE": "2", "PYTHONPATH": "/theirs", "PYTHONWARNINGS": "error", "PYTEST_ADDOPTS": "--theirs"}
STEERING |= {"PYTHONDONTWRITEBYTECODE": "1"}
# Stands for a program of the environment: tells how it was called, in a file of its own. By a shell, because
# the path of a Python may have a space, which no first line with #! can.
STUB = """#!/bin/sh
exec "{python}" "{program}" "$@"
"""
PROGRAM = """import json, os, sys
told = {{"words": sys.argv[1:], "environ": dict(os.environ), "parent": os.getppid(), "directory": os.getcwd()}}
open({told!r}, "w").write(json.dumps(told))
"""
# Found by a real pytest; writes down that it ran, and fails.
TEST = "from pathlib import Path\ndef test_it():\n    Path({ran!r}).touch()\n    assert False\n"
LONG = "import pytest\npytestmark = pytest.mark.long\n"
# Adds the name of its file to a list.
LISTED = """import pytest

@pytest.mark.parametrize("number", range({tests}))
def test_it(number):
    with open({order!r}, "a") as order:
        print({name!r}, file=order)
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with the Makefile, where everything is installed and the programs are stubs."""
    root = tmp_path / "a project's (own) folder"
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / "clients" / "python").mkdir(parents=True)
    for name in ("Makefile", "setup.cfg", "pyproject.toml", "clients/python/pyproject.toml"):
        shutil.copy(ROOT / name, root / name)
    for stamp in (".made", ".installed-run", ".installed-test"):
        (root / ".venv" / stamp).touch()
    for name in ("notify", "pytest"):
        stub = root / ".venv" / "bin" / name
        stub.write_text(STUB.format(python=sys.executable, program=root / f"{name}.py"))
        (root / f"{name}.py").write_text(PROGRAM.format(told=str(root / f"{name}.json")))
        stub.chmod(0o755)
    return root


def make(directory: Path, *words: str, **environ: str) -> tuple[subprocess.CompletedProcess[str], int]:
    """Run make and return the completed process and its process id."""
    command, given = ["make", *words], {"PATH": os.environ["PATH"], **environ}
    with subprocess.Popen(
        command, cwd=directory, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        out, err = process.communicate(timeout=240)
    return subprocess.CompletedProcess(command, process.returncode, out, err), process.pid


def told(project: Path, program: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((project / f"{program}.json").read_text())
    return found


@pytest.mark.parametrize("words", [(), ("run",)])
def test_make_and_make_run_start_the_system_with_data_beside_the_makefile(
    project: Path, words: tuple[str, ...]
) -> None:
    done, pid = make(project, *words, DATABASE_URL="postgresql://mine")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    run = told(project, "notify")
    assert run["words"] == ["up"]
    assert run["parent"] == pid, "a shell stands between, and takes the signals"
    environ = run["environ"]
    assert isinstance(environ, dict)
    assert environ["DATA_DIR"] == f"{project}/.data"
    assert environ["DATABASE_URL"] == "postgresql://mine"


def test_make_run_keeps_data_in_the_directory_of_the_caller(project: Path) -> None:
    make(project, "run", DATA_DIR="/else where")
    environ = told(project, "notify")["environ"]
    assert isinstance(environ, dict)
    assert environ["DATA_DIR"] == "/else where"


@pytest.mark.parametrize("target", ["test", "test-servers", "test-all"])
def test_make_removes_variables_that_change_python_from_the_environment_of_tests(project: Path, target: str) -> None:
    done, pid = make(project, target, **STEERING)

    assert done.returncode == 0, done.stderr
    run = told(project, "pytest")
    assert run["parent"] == pid
    environ = run["environ"]
    assert isinstance(environ, dict)
    assert not environ.keys() & STEERING.keys()


@pytest.mark.parametrize(
    ("target", "found"),
    [("test", {"unit"}), ("test-servers", {"servers"}), ("test-all", {"unit", "servers", "long"})],
)
def test_each_target_runs_its_tests_and_fails_with_them(project: Path, target: str, found: set[str]) -> None:
    for name in ("unit", "servers"):
        (project / "tests" / name).mkdir(parents=True)
        (project / "tests" / name / f"test_{name}.py").write_text(TEST.format(ran=str(project / f"{name}.ran")))
    long = LONG + TEST.format(ran=str(project / "long.ran"))
    (project / "tests" / "unit" / "test_long.py").write_text(long)
    really(project)

    done, _ = make(project, target, "WORKERS=1", **CALLER)

    assert done.returncode == 2, done.stdout + done.stderr
    assert f" {len(found)} failed in " in done.stdout
    assert {path.stem for path in project.glob("*.ran")} == found


def test_long_tests_start_before_short_ones(project: Path) -> None:
    order = project / "order.txt"
    for name, tests in (("acceptance", 1), ("integration", 2), ("unit", 3)):
        (project / "tests" / name).mkdir(parents=True)
        text = LISTED.format(tests=tests, order=str(order), name=name)
        (project / "tests" / name / f"test_{name}.py").write_text(text)
    really(project)

    done, _ = make(project, "test", "WORKERS=1")

    assert done.returncode == 0, done.stdout + done.stderr
    assert order.read_text().split() == ["acceptance", *["integration"] * 2, *["unit"] * 3]


def really(project: Path) -> None:
    """Put pytest itself in the place of its stub, with no more plugins than needed: those take seconds to import."""
    (project / "pytest.py").unlink()  # It would be imported.
    run = f'PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 exec "{sys.executable}" -m pytest -p xdist -p pytest_timeout "$@"'
    (project / ".venv/bin/pytest").write_text(f"#!/bin/sh\n{run}\n")


def test_a_python_that_is_too_old_is_reported(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("setup.cfg", "pyproject.toml"):
        (tmp_path / name).touch()
    old = tmp_path / "python-old"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)

    done, _ = make(tmp_path, "run", f"PYTHON={old}")

    assert done.returncode == 2
    assert f"Python 3.11 or newer is needed and {old} is not that" in done.stderr
    assert not (tmp_path / ".venv").exists()
