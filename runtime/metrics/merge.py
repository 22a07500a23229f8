"""Read the files of prometheus_client's multiprocess mode, and merge those of dead processes into one.

Without merging, each restart would leave its files behind; removing them would make counters fall. Call these functions
while holding the lock of the directory.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import re
import struct
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from runtime import logs
from runtime.metrics.directory import try_lock
from runtime.metrics.multiprocess import MARK

KINDS = ("counter", "histogram")
NOBODY = 0  # used instead of a pid in the names of the files with the merged values of dead processes
NAME = re.compile(r"(?:counter|histogram|gauge_[a-z]+|process)_(\d+)\.(?:db|lock)")
BROKEN = (RuntimeError, ValueError, TypeError, AttributeError, struct.error)  # raised for a damaged file
ENTRY = 4 + 8 + 16  # bytes of an entry besides its key, at most: length, padding, value and timestamp
log = logs.get("metrics")


def collect(directory: Path) -> Iterable[Metric]:
    """Return the metrics of all processes. Damaged files are left out."""
    files = _files(directory)
    try:
        return _merged(files)
    except (*BROKEN, PermissionError):
        whole = [path for path in files if _is_whole(path)]
        for path in set(files) - set(whole):
            log.warning("metrics.file_is_broken", file=path.name, meaning="its values are left out")
        return _merged(whole)


def merge_dead(directory: Path, dead: int | None = None) -> None:
    """Merge the counters and histograms of dead processes, and drop their gauges.

    If a process is killed here, no value is lost or counted twice: the files of the dead processes are moved aside, and
    their sum is written to a new file. Once that is renamed to `ready`, the old files only have to be removed.
    `dead`: a pid whose files belong to an ended process, although the pid is in use again.
    """
    aside = directory / "merging"
    try:
        aside.mkdir(mode=0o700, exist_ok=True)
        for kind in KINDS:
            _replace(directory, aside, kind)
        for process in _processes(directory):
            if process == dead or not _lives(directory, process):
                _retire(directory, aside, process)
        for kind in KINDS:
            if files := sorted(aside.glob(f"{kind}_*.db")):
                new = _write(directory / f"{kind}.new", _total([directory / f"{kind}_{NOBODY}.db", *files]))
                new.rename(new.with_suffix(".ready"))
                _replace(directory, aside, kind)
    except OSError as error:  # The disk is full or read-only; `collect` also reads the unmerged files.
        log.warning("metrics.not_merged", error=str(error), meaning="the files of dead processes stay for now")


def _replace(directory: Path, aside: Path, kind: str) -> None:
    ready = directory / f"{kind}.ready"
    if ready.exists():
        for path in aside.glob(f"{kind}_*.db"):
            path.unlink()
        ready.rename(directory / f"{kind}_{NOBODY}.db")


def _retire(directory: Path, aside: Path, process: int) -> None:
    mark_process_dead(process, str(directory))  # type: ignore[no-untyped-call]
    for path in directory.glob(f"gauge_*_{process}.db"):  # Files of an old version, in other modes.
        path.unlink()
    for kind in KINDS:
        path = directory / f"{kind}_{process}.db"
        if path.exists():
            path.rename(aside / f"{kind}_{process}_{time.time_ns()}.db")
    (directory / MARK.format(process)).unlink(missing_ok=True)


def _total(paths: Iterable[Path]) -> Mapping[str, float]:
    total: defaultdict[str, float] = defaultdict(float)
    for path in paths:
        try:
            for key, value in _entries(path):
                total[key] += value
        except FileNotFoundError:  # Nothing was merged yet.
            continue
        except BROKEN as error:
            log.warning("metrics.file_is_broken", file=path.name, error=str(error), meaning="its other values are lost")
    return total


def _write(path: Path, total: Mapping[str, float]) -> Path:
    # Reserve the whole file now: if a mapped file has to grow on a full disk, SIGBUS kills this process.
    path.write_bytes(bytes(max(mmap.PAGESIZE, 8 + sum(len(key.encode()) + ENTRY for key in total))))
    file = MmapedDict(str(path))  # type: ignore[no-untyped-call]
    for key, value in total.items():
        file.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    file.close()  # type: ignore[no-untyped-call]
    return path


def _entries(path: Path) -> Iterator[tuple[str, float]]:
    """Yield the keys and values of a file. Raise one of BROKEN at the first invalid entry."""
    for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]
        metric, name, labels, documentation = json.loads(key)
        texts = (metric, name, documentation, *labels.keys(), *labels.values())
        if not (all(isinstance(text, str) for text in texts) and 0 <= value < math.inf):
            raise ValueError(f"{key} is {value}")
        yield key, value


def _is_whole(path: Path) -> bool:
    try:
        for _ in _entries(path):
            pass
    except (*BROKEN, PermissionError):
        return False
    return True


def _merged(files: Iterable[Path]) -> Iterable[Metric]:
    merged: Iterable[Metric] = MultiProcessCollector.merge([str(path) for path in files])  # type: ignore[no-untyped-call]
    return merged


def _files(directory: Path) -> list[Path]:
    """Return all files of values: of live processes, merged ones, and those of dead processes that are not merged."""
    named = [path for path in directory.glob("*.db") if NAME.fullmatch(path.name)]
    # The help text of a metric is taken from the first file that has it: of a live process, if there is one.
    return [*sorted(named, reverse=True), *sorted((directory / "merging").glob("*.db"))]


def _processes(directory: Path) -> set[int]:
    names = (NAME.fullmatch(path.name) for path in directory.iterdir())
    return {int(name[1]) for name in names if name} - {NOBODY}


def _lives(directory: Path, process: int) -> bool:
    """Return whether a process holds the lock of its mark file. Without a mark (old versions), check the pid."""
    try:
        mark = os.open(directory / MARK.format(process), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return _runs(process)
    try:
        return not try_lock(mark)
    finally:
        os.close(mark)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
