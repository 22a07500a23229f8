"""One shell for a page: blocks share variables and files."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tests.eventually import eventually

LONGEST = 30.0  # seconds for one block
# Of each request its status, where the page does not ask for it itself.
CURL = """#!/bin/bash
for word in "$@"; do
  if [[ $word =~ ^(--write-out|-[a-zA-Z]*w$) ]]; then exec {curl} --max-time 30 "$@"; fi
done
said=$(mktemp -p "$BLOCKS")
{curl} --max-time 30 --no-progress-meter --write-out '%{{stderr}}\\nthe status is %{{http_code}}\\n' "$@" 2>"$said"
code=$?
sed -n 's/^the status is //p' "$said" >>"$BLOCKS/statuses"
sed '/^the status is /d' "$said" >&2
exit $code
"""
# What would change the machine, or the environment that the tests run in: never begun, here or elsewhere.
REFUSED = ("make", "pip", "pip3", "npm", "apt", "apt-get", "docker", "kubectl", "helm", "systemctl", "sudo", "ssh")
REFUSAL = """#!/bin/sh
echo "{program} is not run by tests: mark the block with <!-- not run: REASON -->" >&2
exit 127
"""
# The trap tells of each command that failed, as `set -e` would, and lets the shell live.
PRELUDE = """set -uo pipefail -o errtrace
trap 'echo "$? $BASH_COMMAND" >>"$BLOCKS/failed"' ERR
"""
ANNOUNCED = re.compile(r"(?:#.*?|HTTP/1\.[01] )\b([45]\d\d)\b")
EXIT_CODE = re.compile(r"#.*exit code (\d+)")


class Done(NamedTuple):
    """The effect of a block. `statuses` are those of its requests, `failed` the commands that did not end with 0."""

    printed: str
    statuses: list[int]
    failed: list[str]

    def faults(self, text: str, output: str) -> list[str]:
        """Return the failures that the page does not announce in its output, or in a comment like `# 409`."""
        announced = {int(status) for status in ANNOUNCED.findall(text + "\n" + output)}
        wrong = {status for status in self.statuses if status >= 400 or status == 0}
        codes = set(EXIT_CODE.findall(text))
        faults = [f"failed: {line}" for line in self.failed if line.split()[0] not in codes]
        faults += [f"a request was answered with {status}" for status in sorted(wrong - announced)]
        return faults + [f"no request was answered with {status}" for status in sorted(announced - set(self.statuses))]


class Shell:
    """A bash whose working directory is `place`; ended with all that it has started."""

    def __init__(self, place: Path, blocks: Path, environ: Mapping[str, str]) -> None:
        self._blocks, self._count = blocks, 0
        programs = blocks / "programs"
        programs.mkdir(parents=True)
        curl = shutil.which("curl")
        assert curl is not None, "the examples of the documents are curl's: install it"
        shims = {"curl": CURL.format(curl=curl)} | {name: REFUSAL.format(program=name) for name in REFUSED}
        for name, shim in shims.items():
            (programs / name).write_text(shim)
            (programs / name).chmod(0o755)
        path = f"{programs}{os.pathsep}{environ['PATH']}"
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            cwd=place,
            # pip by another name installs nothing either.
            env={**environ, "PATH": path, "BLOCKS": str(blocks), "PIP_DRY_RUN": "1", "PIP_NO_INDEX": "1"},
            start_new_session=True,
        )
        self._say(PRELUDE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: type[BaseException] | None, _exc: object, _trace: TracebackType | None) -> None:
        os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.wait()
        assert self._bash.stdin is not None
        self._bash.stdin.close()

    def run(self, commands: str) -> Done:
        """Run a block to its end."""
        self._count += 1
        block, out, end = (self._blocks / f"{self._count}.{kind}" for kind in ("sh", "out", "end"))
        for name in ("statuses", "failed"):
            (self._blocks / name).write_text("")
        block.write_text(commands)
        self._say(f". '{block}' </dev/null >'{out}' 2>&1; echo >'{end}'\n")
        eventually(lambda: end.exists() or self._bash.poll() is not None, within=LONGEST, saying=lambda: commands)
        failed = [line for line in (self._blocks / "failed").read_text().splitlines() if str(block) not in line]
        if self._bash.poll() is not None:
            failed.append(f"{self._bash.returncode} the shell has ended")
        statuses = [int(status) for status in (self._blocks / "statuses").read_text().split()]
        return Done(out.read_text(errors="replace"), statuses, failed)

    def _say(self, line: str) -> None:
        assert self._bash.stdin is not None
        self._bash.stdin.write(line.encode())
        self._bash.stdin.flush()
