"""The client as its users get it: a wheel in an environment of its own, without the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.processes import ROOT

SOURCE = ROOT / "clients" / "python"


def run(*command: object, cwd: Path | None = None) -> str:
    """Run a program that must end well, and return what it printed."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(directory: Path) -> Path:
    """Build the wheel from a copy of the source and return it."""
    source = directory / "source"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("*.egg-info", "build", "__pycache__"))
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index")
    run(*pip, "--wheel-dir", directory, source)
    [wheel] = directory.glob("*.whl")
    return wheel


def install(wheel: Path, directory: Path) -> Path:
    """Install the wheel in a new environment, with dependencies from ours; return its interpreter."""
    run(sys.executable, "-m", "venv", "--without-pip", directory)
    [packages] = directory.glob("lib/python3*/site-packages")
    # A path alone: the files beside it that lead to the checkout are not followed.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    python = directory / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    return python
