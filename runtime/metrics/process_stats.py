"""Metrics of a process about itself: memory, open files and CPU time."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

from runtime import metrics

EVERY = 5.0  # seconds between two updates


class ProcessStats(threading.Thread):
    """Thread that updates the metrics of its process, and keeps the files of the directory recent."""

    def __init__(self, program: str, directory: Path | None) -> None:
        super().__init__(name="process-stats", daemon=True)
        self._program, self._directory, self._used = program, directory, 0.0
        self._tell()

    def run(self) -> None:
        while True:
            time.sleep(EVERY)
            self._tell()

    def _tell(self) -> None:
        used, before = time.process_time(), self._used
        self._used = used
        metrics.processes[self._program].set(1)
        metrics.cpu[self._program].inc(used - before)
        with suppress(OSError):  # Not every system has /proc.
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            metrics.memory[self._program].set(pages * os.sysconf("SC_PAGE_SIZE"))
            with os.scandir("/proc/self/fd") as files:
                metrics.files[self._program].set(sum(1 for _ in files))
        if self._directory is not None:
            with suppress(OSError):
                for path in self._directory.iterdir():  # Programs that clean /tmp remove files that look old.
                    os.utime(path)
