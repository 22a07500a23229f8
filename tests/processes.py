"""Real processes for tests: each command leads its own session, and leaves no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cli.servers import exec_with_parent_death
from tests.eventually import BUSY, eventually

ROOT = Path(__file__).parent.parent
HAS_ENDED = os.WEXITED | os.WNOHANG | os.WNOWAIT  # a question of waitid, which leaves the process as it is


class Group:
    """A command and whatever it starts, in the project's directory or another one. stdout and stderr go to `log`.

    `user` is "uid:gid", for a server that refuses to run as root; absent, it is ours.
    """

    started: list[Group] = []  # noqa: RUF012 - every group of this run, for the check at its end

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        log: Path,
        root: Path = ROOT,
        user: str | None = None,
    ) -> None:
        program = str(Path(sys.executable).parent / command[0])
        self.command, self.log = list(command), log
        with log.open("ab") as out:
            self._leader = subprocess.Popen(
                # Should the tests be killed, the kernel stops what they started.
                [
                    *exec_with_parent_death.prefix(user or exec_with_parent_death.MYSELF, signal.SIGTERM),
                    program,
                    *command[1:],
                ],
                cwd=root,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._leader.pid
        self._asked = self._gone = False
        Group.started.append(self)

    @property
    def running(self) -> bool:
        """True while the leader runs. Once it has ended it stays a zombie, which keeps its number from others."""
        return self._leader.returncode is None and os.waitid(os.P_PID, self.pid, HAS_ENDED) is None

    @property
    def members(self) -> list[int]:
        """Pids of all its live processes, the leader's included; Linux only."""
        if self._gone:  # Its number may be that of another group by now.
            return []
        live = [pid for pid in _pids() if _is_live_in_group(pid, self.pid)]
        if not live:
            self._leader.wait()
            self._gone = True
        return live

    def has(self, pid: int) -> bool:
        """Return True if this is one of its live processes."""
        return not self._gone and _is_live_in_group(pid, self.pid)

    def signal(self, number: int) -> None:
        """Signal the leader alone, as a supervisor would."""
        if self.running:
            os.kill(self.pid, number)

    def signal_all(self, number: int) -> None:
        """Signal every process of the group at once."""
        if self.members:
            os.killpg(self.pid, number)

    def kill(self) -> None:
        """SIGKILL the whole group and wait until it is gone."""
        self.signal_all(signal.SIGKILL)
        self._leader.wait()
        eventually(lambda: not self.members, saying=f"{self.command} survives SIGKILL")

    def ask(self) -> None:
        """SIGTERM to the leader, once."""
        if not self._asked:
            self._asked = True
            self.signal(signal.SIGTERM)

    def stop(self, within: float = 20.0) -> int:
        """Ask, wait for the orderly end, and return the exit code; what is left then is killed."""
        self.ask()
        try:
            return self._leader.wait(within * BUSY)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.command} has not ended {within * BUSY:g} s after SIGTERM") from None
        finally:
            self.kill()


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208 - as often as every 5 ms


def _is_live_in_group(pid: int, group: int) -> bool:
    try:
        # One system call, where to read what the kernel says of a process takes twenty times as long.
        if os.getpgid(pid) != group:
            return False
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
