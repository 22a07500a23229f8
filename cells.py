"""How the processes of one machine keep their numbers where each can read those of all.

Each process writes into files of its own, memory-mapped, in a directory that they share: METRICS_DIR, or one for
each `gunicorn` and each `dramatiq` command. The files are those of prometheus_client's multiprocess mode. What a
dead process counted stays counted: it is added to a file that belongs to nobody, so that files do not pile up.
Where there is no such directory to be had a process counts for itself alone.
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict, mmap_key

import logs
import metrics

PREFIX = "notify-metrics-"
NOBODY = 0  # stands where a file is named by its process, for all that are dead
# Bytes set aside before anything is written: to find a disk full later would kill the process.
ROOM = {"counter": 262_144, "histogram": 1_048_576, "gauge_livesum": 65_536}
VITALS_EVERY = 5.0  # seconds
log = logs.get("metrics")


class _Shared:
    """Where this process keeps its numbers; None: in its own memory."""

    directory: Path | None = None


def own(master: int) -> Path:
    """The directory of one command: named by its master, which all its processes know. Made where it is missing.

    Raises:
        OSError: there is none, or somebody else was faster.
    """
    root = Path(tempfile.gettempdir())
    for other in root.glob(f"{PREFIX}*"):
        _remove_if_left(other)
    path = root / f"{PREFIX}{os.geteuid()}-{master}-{_started(master)}"
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"{path} belongs to somebody else")
    return path


def share(chosen: str, master: int, program: str) -> None:
    """From now on this process counts where the others can read it: in `chosen`, or in its command's own directory.

    Call it once in a process, before anything is counted. `program` is what it is: api or worker.
    """
    try:
        directory = Path(chosen) if chosen else own(master)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(directory):
            bury(directory)
            _set_aside(directory)
    except OSError as error:
        log.warning("metrics.not_shared", error=str(error), meaning="each process counts for itself alone")
    else:
        values.ValueClass = Cell
        _Shared.directory = directory
    Vitals(program).start()


class Cell:
    """One number in a file of this process: what prometheus_client calls a value.

    Its own multiprocess value costs three times as much: it asks for the process's id each time, and writes anew
    what never changes. The files are its own, and so is what adds them up. A child of a fork must not count.
    """

    _multiprocess = True
    _counting = threading.Lock()
    _files: ClassVar[dict[str, Any]] = {}

    def __init__(  # noqa: PLR0913, PLR0917 - as prometheus_client calls it
        self,
        typ: str,
        metric_name: str,
        name: str,
        labelnames: Sequence[str],
        labelvalues: Sequence[str],
        help_text: str,
        multiprocess_mode: str = "",
        **_: object,
    ) -> None:
        kind = f"{typ}_{multiprocess_mode}" if multiprocess_mode else typ
        key = mmap_key(metric_name, name, list(labelnames), list(labelvalues), help_text)
        with self._counting:
            if kind not in self._files:
                self._files[kind] = MmapedDict(f"{_Shared.directory}/{kind}_{os.getpid()}.db")  # type: ignore[no-untyped-call]
            file = self._files[kind]
            self._value, _timestamp = file.read_value(key)
            at = file._positions[key]
            # It stays true when the file grows and is mapped anew: both are the same file.
            self._here = memoryview(file._m)[at : at + 8].cast("d")

    def inc(self, amount: float) -> None:
        with self._counting:
            self._value = self._here[0] = self._value + amount

    def set(self, value: float, timestamp: float | None = None) -> None:
        with self._counting:
            self._value = self._here[0] = value

    def get(self) -> float:
        return float(self._value)

    def set_exemplar(self, exemplar: object) -> None:
        """There are none."""

    def get_exemplar(self) -> None:
        return None


class Vitals(threading.Thread):
    """Tells now and then how this process fares."""

    def __init__(self, program: str) -> None:
        super().__init__(name="vitals", daemon=True)
        self._program, self._used = program, 0.0
        self._tell()

    def run(self) -> None:
        while True:
            time.sleep(VITALS_EVERY)
            self._tell()

    def _tell(self) -> None:
        used, before = time.process_time(), self._used
        self._used = used
        metrics.processes[self._program].set(1)
        metrics.cpu[self._program].inc(used - before)
        with suppress(OSError):  # Where there is no /proc.
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            metrics.memory[self._program].set(pages * os.sysconf("SC_PAGE_SIZE"))
            with os.scandir("/proc/self/fd") as files:
                metrics.files[self._program].set(sum(1 for _ in files))
        if _Shared.directory is not None:
            with suppress(OSError):
                for path in _Shared.directory.iterdir():  # Or what cleans temporary directories takes it for old.
                    os.utime(path)


def directory() -> Path | None:
    """Where this process's numbers are, beside those of the others."""
    return _Shared.directory


@contextmanager
def locked(directory: Path, name: str = "lock") -> Iterator[None]:
    """One at a time among all processes: who adds up the dead, and who reads."""
    handle = os.open(directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _set_aside(directory: Path) -> None:
    for kind, size in ROOM.items():
        with (directory / f"{kind}_{os.getpid()}.db").open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, size)


def bury(directory: Path) -> None:
    """Add what dead processes counted to what nobody's file has; of their gauges nothing stays."""
    for path in directory.glob("*.db"):
        kind, _, process = path.stem.rpartition("_")
        if int(process) == NOBODY or _lives(int(process)):
            continue
        if not kind.startswith("gauge"):
            _add(path, directory / f"{kind}_{NOBODY}.db")
        path.unlink()


def _add(path: Path, sums: Path) -> None:
    # Written anew and renamed: a crash in the middle leaves the sums as they were.
    new = sums.with_suffix(".new")
    new.write_bytes(sums.read_bytes() if sums.exists() else b"")
    total = MmapedDict(str(new))  # type: ignore[no-untyped-call]
    try:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]
            before, _ = total.read_value(key)  # type: ignore[no-untyped-call]
            total.write_value(key, before + value, 0.0)  # type: ignore[no-untyped-call]
    except (RuntimeError, struct.error, ValueError) as error:
        log.warning("metrics.file_is_broken", file=path.name, error=str(error))
    finally:
        total.close()  # type: ignore[no-untyped-call]
    new.rename(sums)


def _remove_if_left(path: Path) -> None:
    """A command's directory whose master is gone."""
    try:
        user, master, started = path.name.removeprefix(PREFIX).split("-")
        if int(user) != os.geteuid() or path.lstat().st_uid != os.geteuid() or _started(int(master)) == started:
            return
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    except (OSError, ValueError):  # Another process was faster, or it is none of ours.
        return


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _started(process: int) -> str:
    """When a process was started, in the kernel's ticks; "0" where that cannot be known."""
    try:
        # After the name, which may hold anything: proc_pid_stat(5), field 22.
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "0"
