"""Start prometheus_client's multiprocess mode: the processes of one machine keep their numbers in one directory.

The directory is METRICS_DIR, or one for each `gunicorn` and each `dramatiq` command. Each process writes into files
of its own there, and /metrics adds them all up. Where the directory cannot be used a process counts for itself alone.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from runtime import logs, metrics
from runtime.metrics import families
from runtime.metrics.directory import locked, own, try_lock
from runtime.metrics.process_stats import ProcessStats

# Bytes of each file that are written before anything is counted. The files are mapped into memory: a process that
# finds the disk full when it touches a page for the first time is killed by SIGBUS.
ROOM = {"counter": 262_144, "histogram": 1_048_576, "gauge_livesum": 65_536}
MARK = "process_{}.lock"  # locked by the process of this pid for as long as it lives
WITHIN = 5.0  # seconds to wait for the lock: who has it may have been stopped by a signal
log = logs.get("metrics")


class _Shared:
    """Where this process keeps its numbers; None: in its own memory."""

    directory: Path | None = None


def directory() -> Path | None:
    """Return where this process keeps its numbers, next to those of the others; None: in its own memory."""
    return _Shared.directory


def share(chosen: str, master: int, program: str) -> None:
    """Keep this process's numbers where the others can read them, and report every few seconds how it fares.

    Call it once in a process, before anything is counted. `chosen` is METRICS_DIR; `master` is the pid of the command's
    master, which names the command's own directory; `program` is api or worker.
    """
    try:
        path = (Path(chosen) if chosen else own(master)).absolute()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(path, within=WITHIN):
            _begin(path)
    except (OSError, RuntimeError) as error:
        log.warning(
            "metrics.not_shared",
            error=str(error),
            meaning="each process counts for itself alone",
            fix="set METRICS_DIR to a directory that this user may write to, with 1.4 MB for each process",
        )
    else:
        _Shared.directory = path
    # Opens the file of histograms, as the thread opens the others: later the directory may be gone.
    _ = metrics.batches["ring"]
    ProcessStats(program, _Shared.directory).start()


def _begin(directory: Path) -> None:
    """Reserve the files, then import prometheus_client. Nothing that follows the import can fail for want of room."""
    if "prometheus_client" in sys.modules:
        raise RuntimeError("prometheus_client was imported before the directory was known")
    reserved = _reserve(directory)
    families.keep_in(str(directory))
    from runtime.metrics import merge  # noqa: PLC0415 - prometheus_client chooses at its import where values are kept

    merge.merge_dead(directory, dead=os.getpid())  # Of an earlier process with this pid, if there are any files.
    for path in reserved:
        path.rename(path.with_suffix(".lock" if path.stem.startswith("process") else ".db"))


def _reserve(directory: Path) -> list[Path]:
    for left in directory.glob("*.new"):  # Nobody else has the lock: it is of a process that was killed here.
        left.unlink()
    files = {directory / f"{kind}_{os.getpid()}.new": size for kind, size in ROOM.items()}
    mark = (directory / MARK.format(os.getpid())).with_suffix(".new")
    try:
        for path, size in files.items():
            path.write_bytes(bytes(size))
        # Never closed: the lock tells the others that this process lives, whatever becomes of its pid later.
        try_lock(os.open(mark, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError:
        for path in (*files, mark):
            path.unlink(missing_ok=True)
        raise
    return [*files, mark]
