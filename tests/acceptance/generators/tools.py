"""Runs generators of clients, and programs that use what they have generated."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.environment import cleared

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
TYPESCRIPT = {
    "strict": True,
    "skipLibCheck": True,
    "target": "es2022",
    "module": "nodenext",
    "types": ["node"],
    "outDir": "built",
}
INSTALL = "npm ci --prefix tests/acceptance/generators"


def needed(program: str, package: str) -> str:
    """Return the path of a program; skip the test where it is not installed."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed: apt-get install {package}")
    return path


def node_tool(name: str) -> str:
    """Return the path of a program that package.json names."""
    needed("node", "nodejs")
    path = MODULES / ".bin" / name
    if not path.exists():
        pytest.skip(f"{name} is not installed: {INSTALL}")
    return str(path)


def run(*command: object, cwd: Path, **variables: str) -> str:
    """Run a program that must end well, and return all that it printed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), cleared()["PATH"]])
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=cleared() | {"PATH": path, "NO_COLOR": "1"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def node_project(directory: Path, program: str) -> None:
    """Make a TypeScript project of this program, with the installed packages."""
    (directory / "node_modules").symlink_to(MODULES)
    (directory / "package.json").write_text('{"type": "module"}')
    (directory / "tsconfig.json").write_text(json.dumps({"compilerOptions": TYPESCRIPT, "files": ["program.ts"]}))
    shutil.copy(HERE / "programs" / program, directory / "program.ts")


def compiled(directory: Path) -> Path:
    """Check the types of the program and compile it; return the JavaScript."""
    run(node_tool("tsc"), "--project", directory, cwd=directory)
    return directory / "built" / "program.js"
