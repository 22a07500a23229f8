"""Start prometheus_client's multiprocess mode: the processes of one machine keep their values in one directory.

The directory is METRICS_DIR, or one for each `gunicorn` and each `dramatiq` command. Each process writes its own files
there, and /metrics returns the sums. If the directory cannot be used, each process has only its own values.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from runtime import logs, metrics
from runtime.metrics import families
from runtime.metrics.directory import locked, own, try_lock
from runtime.metrics.process_stats import ProcessStats

# Bytes of each file that are written before anything is counted. The files are mapped into memory: if the disk is full
# when a process touches a new page, SIGBUS kills it.
ROOM = {"counter": 262_144, "histogram": 1_048_576, "gauge_livesum": 65_536}
MARK = "process_{}.lock"  # locked by the process of this pid for as long as it lives
WITHIN = 5.0  # seconds to wait for the lock: the process that has it may have been stopped by a signal
log = logs.get("metrics")


class _Shared:
    """Directory in which this process keeps its values; None: in its own memory."""

    directory: Path | None = None


def directory() -> Path | None:
    """Return the shared directory of this process's values; None if they are in its own memory."""
    return _Shared.directory


def share(chosen: str, master: int, program: str) -> None:
    """Keep this process's values where the other processes can read them, and start its ProcessStats.

    Call it once in a process, before anything is counted. `chosen`: METRICS_DIR. `master`: pid of the command's master,
    for the name of the command's own directory. `program`: api or worker.
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
            meaning="/metrics shows the values of one process only",
            fix="set METRICS_DIR to a directory that this user can write to, with 1.4 MB for each process",
        )
    else:
        _Shared.directory = path
    # Open the file of histograms now, because the directory may be gone later. The thread opens the other files.
    _ = metrics.batches["enqueue"]
    ProcessStats(program, _Shared.directory).start()


def _begin(directory: Path) -> None:
    """Reserve the files, then import prometheus_client. After the import, nothing can fail because of a full disk."""
    if "prometheus_client" in sys.modules:
        raise RuntimeError("prometheus_client was imported before the directory was known")
    reserved = _reserve(directory)
    families.keep_in(str(directory))
    from runtime.metrics import merge  # noqa: PLC0415 - prometheus_client chooses at its import where values are kept

    merge.merge_dead(directory, dead=os.getpid())  # Files with this pid belong to an earlier process.
    for path in reserved:
        path.rename(path.with_suffix(".lock" if path.stem.startswith("process") else ".db"))


def _reserve(directory: Path) -> list[Path]:
    for left in directory.glob("*.new"):  # We have the lock, so these files are of a process that was killed here.
        left.unlink()
    files = {directory / f"{kind}_{os.getpid()}.new": size for kind, size in ROOM.items()}
    mark = (directory / MARK.format(os.getpid())).with_suffix(".new")
    try:
        for path, size in files.items():
            path.write_bytes(bytes(size))
        # Never closed: the lock tells the other processes that this one lives, even if its pid is used again later.
        try_lock(os.open(mark, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError:
        for path in (*files, mark):
            path.unlink(missing_ok=True)
        raise
    return [*files, mark]
