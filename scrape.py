"""How the processes of one machine keep their numbers together, and how all of them are read at once.

Each process writes into files of its own (prometheus_client's multiprocess mode), memory-mapped, in a directory
that they share: METRICS_DIR, or one for each `gunicorn` and each `dramatiq` command. What a dead process
counted stays counted: its files are added to one that belongs to nobody, so that they do not pile up.
Where there is no such directory to be had a process counts for itself alone.
"""

from __future__ import annotations

import fcntl
import gzip
import hmac
import os
import stat
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry, generate_latest, values
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, gzip_accepted
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.openmetrics import exposition
from prometheus_client.registry import Collector

import logs
import metrics

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client reads it
PREFIX = "notify-metrics-"
NOBODY = 0  # stands where a file is named by its process, for all that are dead
# Bytes set aside before anything is written: to find a disk full later would kill the process.
ROOM = {"counter": 262_144, "histogram": 1_048_576, "gauge_livesum": 65_536}
VITALS_EVERY = 5.0  # seconds
log = logs.get("metrics")


class Page(NamedTuple):
    """What a scraper gets. `encoding`: of the content, or empty."""

    body: bytes
    type: str
    encoding: str


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
            _bury(directory)
            _set_aside(directory)
    except OSError as error:
        log.warning("metrics.not_shared", error=str(error), meaning="each process counts for itself alone")
    else:
        os.environ[VARIABLE] = str(directory)
        values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]
        _Shared.directory = directory
    Vitals(program).start()


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
            metrics.files[self._program].set(sum(1 for _ in Path("/proc/self/fd").iterdir()))


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


def kind(accept: str, encodings: str) -> tuple[bool, bool]:
    """What a scraper asks for with Accept and Accept-Encoding: whether OpenMetrics, and whether compressed."""
    return "application/openmetrics-text" in accept, gzip_accepted(encodings)


def page(openmetrics: bool, compressed: bool, *more: Collector) -> Page:
    """All numbers of all processes, and those of `more`, as text. It blocks, for some milliseconds."""
    among = CollectorRegistry()
    for collector in more:
        among.register(collector)
    if _Shared.directory is None:
        among.register(metrics.registry)
        body, type = _written(among, openmetrics)
    else:
        with locked(_Shared.directory):
            _bury(_Shared.directory)
            among.register(MultiProcessCollector(None, str(_Shared.directory)))  # type: ignore[no-untyped-call]
            body, type = _written(among, openmetrics)
    # The answer is compressed once and read once: the quickest level will do.
    return Page(gzip.compress(body, 1), type, "gzip") if compressed else Page(body, type, "")


def is_token(authorization: str, token: str) -> bool:
    """Whether a header Authorization brings METRICS_TOKEN; it takes as long for each that does not."""
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip(" ").encode(errors="replace"), token.encode())


def _written(among: CollectorRegistry, as_openmetrics: bool) -> tuple[bytes, str]:
    if as_openmetrics:
        return exposition.generate_latest(among), exposition.CONTENT_TYPE_LATEST  # type: ignore[no-untyped-call]
    return generate_latest(among), CONTENT_TYPE_PLAIN_0_0_4


def _set_aside(directory: Path) -> None:
    for kind, size in ROOM.items():
        with (directory / f"{kind}_{os.getpid()}.db").open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, size)


def _bury(directory: Path) -> None:
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
